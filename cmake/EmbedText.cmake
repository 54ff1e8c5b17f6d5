# Writes a .cpp with functions that return text files, run at build time:
#   cmake -DOUTPUT=x.cpp -DHEADER=report/page_files.h -DENTRIES="page_html=a.html|page_script=b.js,c.js" -P EmbedText.cmake
# Files of one entry are joined in order. Text becomes string literals of hexadecimal escapes,
# one a byte.
set(code "#include \"${HEADER}\"\n\nnamespace treepo {\n")
string(REPLACE "|" ";" entries "${ENTRIES}")
foreach(entry ${entries})
  string(REGEX MATCH "^([a-z_]+)=(.*)$" matched "${entry}")
  set(name "${CMAKE_MATCH_1}")
  string(REPLACE "," ";" files "${CMAKE_MATCH_2}")
  string(APPEND code "\nstd::string_view ${name}() {\n  return")
  foreach(file ${files})
    # Read as hex: CMake's own lists would swallow brackets and semicolons.
    file(READ "${file}" hex HEX)
    string(LENGTH "${hex}" length)
    set(begin 0)
    while(begin LESS length)
      string(SUBSTRING "${hex}" ${begin} 8000 part)
      string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" part "${part}")
      string(APPEND code "\n      \"${part}\"")
      math(EXPR begin "${begin} + 8000")
    endwhile()
  endforeach()
  string(APPEND code ";\n}\n")
endforeach()
string(APPEND code "\n}  // namespace treepo\n")
file(WRITE "${OUTPUT}" "${code}")
