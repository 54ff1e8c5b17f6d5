# Writes OUTPUT, a C++ file that holds the text of each of SOURCES (a list of .py files, "|" between them) by the
# name of its module.   cmake -DOUTPUT=… -DSOURCES=… -P cmake/EmbedPython.cmake
string(REPLACE "|" ";" sources "${SOURCES}")
file(WRITE "${OUTPUT}.new" "#include \"base/python_modules.h\"\n\nnamespace treepo {\n\n"
  "std::span<const PythonModule> python_modules() {\n  static constexpr PythonModule modules[] = {\n")
foreach(source IN LISTS sources)
  get_filename_component(name "${source}" NAME_WE)
  file(READ "${source}" text)
  file(APPEND "${OUTPUT}.new" "{\"${name}\", R\"PYTHON_SOURCE(${text})PYTHON_SOURCE\"},\n")
endforeach()
file(APPEND "${OUTPUT}.new" "  };\n  return modules;\n}\n\n}  // namespace treepo\n")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
