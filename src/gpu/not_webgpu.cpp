// A shared library that is no WebGPU library, for library_test.cpp.
extern "C" int pixellm_not_webgpu() { return 0; }
