// Target regions: functions between PIXELLM_BEGIN_TARGET("...") and PIXELLM_END_TARGET are compiled for a CPU
// with these features, the rest of the file for the baseline. No per-file -mavx2: an inline function of a
// common header, compiled twice, would be merged at link time, and the baseline might run the wrong copy. So
// no standard header is included inside a region, every ISA has its own namespace, and there are no lambdas
// (Clang's attribute does not reach them).
#pragma once

#define PIXELLM_PRAGMA(x) _Pragma(#x)
#define PIXELLM_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define PIXELLM_BEGIN_TARGET(features) \
  PIXELLM_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define PIXELLM_END_TARGET PIXELLM_PRAGMA(clang attribute pop)
#define PIXELLM_UNROLL PIXELLM_PRAGMA(unroll)  // before a loop whose bounds are constant: no loop remains
#else
#define PIXELLM_BEGIN_TARGET(features) \
  PIXELLM_PRAGMA(GCC push_options)     \
  PIXELLM_PRAGMA(GCC target(features))
#define PIXELLM_END_TARGET PIXELLM_PRAGMA(GCC pop_options)
#define PIXELLM_UNROLL PIXELLM_PRAGMA(GCC unroll 64)
#endif
