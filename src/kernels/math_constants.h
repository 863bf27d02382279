// The numbers of exp, tanh and gelu, common to every instruction set. Meaning and errors: spec/arithmetic.md.
#pragma once

namespace pixellm {

// exp(x) = 2^n * P(r), n = round(x * kLog2E), r = x - n * ln 2.
inline constexpr float kExpLow = -104.0f, kExpHigh = 89.0f;  // below: 0; above: infinity
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2High = 0x1.62e430p-1f, kLn2Low = -0x1.05c610p-29f;
// P(r) = 1 + r + r^2 (kExp2 + kExp3 r + ...)
inline constexpr float kExp2 = 0x1.fffffcp-2f, kExp3 = 0x1.555492p-3f, kExp4 = 0x1.5558acp-5f,
                       kExp5 = 0x1.123976p-7f, kExp6 = 0x1.6a507ap-10f;

// tanh(x) = x + x z (kTanh0 + kTanh1 z + ...), z = x^2, for |x| below kTanhSmall; else 1 - 2 / (exp(2|x|) +
// 1).
inline constexpr float kTanhSmall = 0.625f;
inline constexpr float kTanh0 = -0x1.555532p-2f, kTanh1 = 0x1.1106f6p-3f, kTanh2 = -0x1.b835a4p-5f,
                       kTanh3 = 0x1.51f8cep-6f, kTanh4 = -0x1.750ce4p-8f;

// gelu(x) = x / (1 + exp(kGeluScale * (x + kGeluCube x^3))): the tanh form, 0.5 (1 + tanh(v)) being 1 / (1 +
// exp(-2v)).
inline constexpr float kGeluScale = -0x1.988454p+0f;  // -2 sqrt(2/pi)
inline constexpr float kGeluCube = 0x1.6e4e26p-5f;    // 0.044715

}  // namespace pixellm
