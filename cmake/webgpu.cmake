# Where WebGPU's headers and library are: the Python wheel that tools/webgpu.txt pins, as tools/common.sh (fetch_webgpu)
# unpacks it into the cache folder. Sets PIXELLM_WEBGPU_FOUND, PIXELLM_WEBGPU_FOLDER (a name) and PIXELLM_WEBGPU_DIR.
file(READ ${PROJECT_SOURCE_DIR}/tools/webgpu.txt pixellm_webgpu_pin)
string(REGEX MATCH "wgpu==([0-9.]+)" _ "${pixellm_webgpu_pin}")
set(PIXELLM_WEBGPU_FOLDER "wgpu-${CMAKE_MATCH_1}")
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/webgpu.txt)

if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(pixellm_cache $ENV{XDG_CACHE_HOME}/pixellm)
else()
  set(pixellm_cache $ENV{HOME}/.cache/pixellm)
endif()
set(PIXELLM_WEBGPU_DIR ${pixellm_cache}/${PIXELLM_WEBGPU_FOLDER} CACHE PATH
    "Folder with webgpu.h, wgpu.h and libwgpu_native.so; without them the program is built without the GPU part")
# Looked at again by every build: the folder may have been filled, or emptied, since.
file(GLOB pixellm_webgpu_files CONFIGURE_DEPENDS ${PIXELLM_WEBGPU_DIR}/webgpu.h ${PIXELLM_WEBGPU_DIR}/wgpu.h
     ${PIXELLM_WEBGPU_DIR}/libwgpu_native.so)
list(LENGTH pixellm_webgpu_files pixellm_webgpu_count)
if(pixellm_webgpu_count EQUAL 3)
  set(PIXELLM_WEBGPU_FOUND ON)
else()
  set(PIXELLM_WEBGPU_FOUND OFF)
  message(STATUS "No WebGPU in ${PIXELLM_WEBGPU_DIR}: building without the GPU part (./run --build fetches it)")
endif()
