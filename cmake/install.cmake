include(CMakePackageConfigHelpers)
set(heed_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
install(TARGETS heed_attention heed EXPORT heed-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/heed DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT heed-targets NAMESPACE heed:: DESTINATION ${heed_package_folder})
configure_package_config_file(cmake/heed-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/heed-config.cmake
  INSTALL_DESTINATION ${heed_package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/heed-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heed-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/heed-config-version.cmake
  DESTINATION ${heed_package_folder})
