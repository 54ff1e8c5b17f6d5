# `cmake --install`: the program, the library as a CMake package (find_package(treepo)), its headers. The commands
# (src/app) are no part of the library. Nothing that is installed refers to the source tree.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(treepo_parts_without_torch base config text tree kernels kv rollout reward data evaluate report)
set(treepo_parts_with_torch model learn train)
set(treepo_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/treepo")

# The parts as treepo::base and so on; two lists, so that COMPONENTS rollout needs no PyTorch.
foreach(kind without_torch with_torch)
  set(targets ${treepo_parts_${kind}})
  list(TRANSFORM targets PREPEND treepo_)
  foreach(part IN LISTS treepo_parts_${kind})
    set_target_properties(treepo_${part} PROPERTIES EXPORT_NAME ${part})
    target_compile_features(treepo_${part} INTERFACE cxx_std_20)
  endforeach()
  # Headers include one another as "tree/growth.h", users may write "treepo/tree/growth.h".
  install(TARGETS ${targets} EXPORT treepo_${kind} ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" "${CMAKE_INSTALL_INCLUDEDIR}/treepo")
  install(EXPORT treepo_${kind} FILE treepo_${kind}.cmake NAMESPACE treepo:: DESTINATION "${treepo_package_dir}")
  foreach(part IN LISTS treepo_parts_${kind})
    install(DIRECTORY "${CMAKE_SOURCE_DIR}/src/${part}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/treepo"
      FILES_MATCHING PATTERN "*.h" PATTERN "torch_pch.h" EXCLUDE PATTERN "page" EXCLUDE)
  endforeach()
endforeach()

# The program, and the CUDA half where it is built, which it opens by name. torch::wheel has them look for the wheel
# where it was found.
set_target_properties(treepo PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS treepo RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(TARGET treepo_cuda)
  set_target_properties(treepo_cuda PROPERTIES BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS treepo_cuda LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()

configure_package_config_file("${CMAKE_SOURCE_DIR}/cmake/treepoConfig.cmake.in"
  "${CMAKE_BINARY_DIR}/treepoConfig.cmake" INSTALL_DESTINATION "${treepo_package_dir}"
  PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/treepoConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/treepoConfig.cmake" "${CMAKE_BINARY_DIR}/treepoConfigVersion.cmake"
  "${CMAKE_SOURCE_DIR}/cmake/FindTorchWheel.cmake" DESTINATION "${treepo_package_dir}")
