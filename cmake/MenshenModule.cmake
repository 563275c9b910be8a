# menshen_module(NAME DEPENDS module... LINK target...)
#
# One static library from every source below the folder that calls it, by name:
#   x.cpp  part of the library      x_test.cpp   unit tests, one program per module
#   x_fuzz.cpp  a fuzz target       x_bench.cpp  micro-benchmarks, one program per module
#   x_main.cpp  the program NAME_x, for developers: not installed
# So a file that no target compiles cannot exist.
list(APPEND CMAKE_MODULE_PATH ${Catch2_DIR})
include(Catch)

function(menshen_module name)
  cmake_parse_arguments(arg "" "" "DEPENDS;LINK;TEST_LINK" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(tests ${all})
  set(fuzzers ${all})
  set(benches ${all})
  set(programs ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")
  list(FILTER programs INCLUDE REGEX "_main\\.cpp$")
  list(FILTER all EXCLUDE REGEX "_(test|fuzz|bench|main)\\.cpp$")

  # A module of headers alone has nothing to archive.
  set(kind STATIC)
  set(scope PUBLIC)
  if(NOT all)
    set(kind INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(menshen_${name} ${kind} ${all})
  target_include_directories(menshen_${name} ${scope} ${CMAKE_SOURCE_DIR})
  foreach(dep IN LISTS arg_DEPENDS)
    target_link_libraries(menshen_${name} ${scope} menshen_${dep})
  endforeach()
  target_link_libraries(menshen_${name} ${scope} ${arg_LINK})

  if(tests AND NOT MENSHEN_FUZZ)
    add_executable(${name}_tests ${tests})
    target_link_libraries(${name}_tests PRIVATE menshen_${name} testkit ${arg_TEST_LINK})
    catch_discover_tests(${name}_tests TEST_PREFIX "${name}: "
                         PROPERTIES TIMEOUT 300)
  endif()
  foreach(fuzzer IN LISTS fuzzers)
    get_filename_component(target ${fuzzer} NAME_WE)
    menshen_fuzz(${target} ${fuzzer} menshen_${name})
  endforeach()
  foreach(program IN LISTS programs)
    get_filename_component(file ${program} NAME_WE)
    string(REGEX REPLACE "_main$" "" target ${file})
    add_executable(${name}_${target} ${program})
    target_link_libraries(${name}_${target} PRIVATE menshen_${name})
    menshen_allocator(${name}_${target})
  endforeach()
  if(benches AND NOT MENSHEN_FUZZ)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE menshen_${name} testkit ${arg_TEST_LINK})
    add_test(NAME "${name}: benchmarks run" COMMAND ${name}_bench --benchmark-samples 1)
  endif()
endfunction()

# Programs that inspect packets: transactions, bodies and events come and go with them, and jemalloc
# takes a sixth to a quarter less time for the whole than the C library. The sanitizers have an
# allocator of their own.
function(menshen_allocator target)
  if(NOT MENSHEN_SANITIZE AND NOT MENSHEN_FUZZ)
    target_link_libraries(${target} PRIVATE PkgConfig::jemalloc)
  endif()
endfunction()

# A fuzz target is a file with LLVMFuzzerTestOneInput. gcc builds replay its corpus (tests/corpus/TARGET)
# as an ordinary test; the fuzz preset links libFuzzer instead.
function(menshen_fuzz target source)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE ${ARGN})
  set(corpus ${CMAKE_SOURCE_DIR}/tests/corpus/${target})
  if(MENSHEN_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/testkit/fuzz_replay.cpp)
    add_test(NAME "fuzz corpus: ${target}" COMMAND ${target} ${corpus})
  endif()
endfunction()
