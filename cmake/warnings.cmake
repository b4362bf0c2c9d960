# Warnings for our own code only: targets opt in through fuotad_library() and fuotad_program().
set(FUOTAD_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wmissing-prototypes
  -Wswitch-enum -Wvla -Wformat=2 -Wstrict-prototypes -Wundef -Werror)

# fuotad_library(NAME [PURE] SOURCES... ): a static library of one module.
# PURE modules see the C library only: no POSIX, no GNU extensions.
function(fuotad_library name)
  cmake_parse_arguments(ARG "PURE" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${FUOTAD_WARNINGS})
  if(NOT ARG_PURE)
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

function(fuotad_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${FUOTAD_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE FUOTAD_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()
