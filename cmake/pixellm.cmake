# Compiler settings and the helper functions that every folder of src/ uses.

# Sums have one fixed order on every CPU (spec/arithmetic.md): never let the compiler contract a*b+c.
add_compile_options(-Wall -Wextra -Wshadow -ffp-contract=off -fno-fast-math)
add_compile_definitions(_FILE_OFFSET_BITS=64)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-psabi)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -g1")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(PIXELLM_SANITIZE)
  add_compile_options(-fsanitize=${PIXELLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PIXELLM_SANITIZE})
endif()
if(PIXELLM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
pkg_check_modules(libdeflate REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(spng REQUIRED IMPORTED_TARGET spng)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
enable_testing()
if(PIXELLM_TESTS)
  find_package(GTest REQUIRED)
endif()

# pixellm_library(NAME SOURCES a.cpp b.cpp DEPENDS base ... LIBRARIES fmt::fmt ...)
# DEPENDS is the list of the project's own libraries that NAME may include; LIBRARIES stay inside its .cpp files.
function(pixellm_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_library(pixellm_${name} STATIC ${ARG_SOURCES})
  target_include_directories(pixellm_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  foreach(dep ${ARG_DEPENDS})
    target_link_libraries(pixellm_${name} PUBLIC pixellm_${dep})
  endforeach()
  target_link_libraries(pixellm_${name} PRIVATE ${ARG_LIBRARIES})
endfunction()

# pixellm_test(NAME SOURCES x_test.cpp DEPENDS model ...): one GoogleTest program, one ctest entry.
function(pixellm_test name)
  if(NOT PIXELLM_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  foreach(dep ${ARG_DEPENDS})
    target_link_libraries(${name} PRIVATE pixellm_${dep})
  endforeach()
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PIXELLM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900)
endfunction()

# Marks tests that need a GPU adapter: label "gpu", reported as skipped where there is none. llvmpipe without threads of its
# own is quicker at many small dispatches. Drivers leave memory behind and have threads that the sanitizers cannot see into.
function(pixellm_gpu_properties)
  set(environment LP_NUM_THREADS=0)
  if(PIXELLM_SANITIZE MATCHES "address")
    list(APPEND environment ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1)
  elseif(PIXELLM_SANITIZE MATCHES "thread")
    list(APPEND environment TSAN_OPTIONS=ignore_noninstrumented_modules=1)
  endif()
  set_tests_properties(${ARGN} PROPERTIES LABELS gpu ENVIRONMENT "${environment}"
                       SKIP_REGULAR_EXPRESSION "skipped without a GPU adapter: ")
endfunction()

# pixellm_gpu_test(NAME ...): a pixellm_test that needs an adapter (src/gpu/gpu_test_world.h). Stands beside the WebGPU library.
function(pixellm_gpu_test name)
  if(NOT PIXELLM_TESTS)
    return()
  endif()
  pixellm_test(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  pixellm_gpu_properties(${name})
endfunction()

# pixellm_fuzz(NAME SOURCES x_fuzz.cpp DEPENDS ...): one libFuzzer program, fuzz_NAME, run by ./test --fuzz SECONDS with the
# seeds in fuzz/corpus/NAME.
function(pixellm_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  foreach(dep ${ARG_DEPENDS})
    target_link_libraries(fuzz_${name} PRIVATE pixellm_${dep})
  endforeach()
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LIBRARIES})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME fuzz_${name} COMMAND ${PROJECT_SOURCE_DIR}/fuzz/run_target.sh $<TARGET_FILE:fuzz_${name}>
                                     ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
endfunction()
