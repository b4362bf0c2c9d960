# fuotad_test(NAME SOURCES... LINK ...): a cmocka program registered with ctest.
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

function(fuotad_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;ARGS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${FUOTAD_WARNINGS} -Wno-missing-prototypes)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE
    FUOTAD_VECTORS="${CMAKE_SOURCE_DIR}/tests/vectors/vectors.json"
    FUOTAD_SOURCE_DIR="${CMAKE_SOURCE_DIR}" FUOTAD_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  if(ARG_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  else()
    set_tests_properties(${name} PROPERTIES TIMEOUT 120)
  endif()
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  endif()
endfunction()
