# The page of `treepo report` (src/report/page/) becomes part of treepo_report. Scripts are joined in
# this order: each may use those before it.
set(page "${CMAKE_SOURCE_DIR}/src/report/page")
set(scripts format data theme plot curves tree_layout tree_view path_view trees health run_facts summary main)
list(TRANSFORM scripts PREPEND "${page}/")
list(TRANSFORM scripts APPEND ".js")
list(JOIN scripts "," joined)
set(generated "${CMAKE_BINARY_DIR}/generated/page_files.cpp")
add_custom_command(OUTPUT "${generated}"
  COMMAND ${CMAKE_COMMAND} "-DOUTPUT=${generated}" -DHEADER=report/page_files.h
    "-DENTRIES=page_html=${page}/page.html|page_style=${page}/page.css|page_script=${joined}"
    -P "${CMAKE_SOURCE_DIR}/cmake/EmbedText.cmake"
  DEPENDS ${scripts} "${page}/page.html" "${page}/page.css" "${CMAKE_SOURCE_DIR}/cmake/EmbedText.cmake"
  VERBATIM)
target_sources(treepo_report PRIVATE "${generated}")
