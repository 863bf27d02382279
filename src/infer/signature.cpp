#include "infer/signature.h"

#include "base/hash.h"
#include "infer/sampler.h"
#include "infer/session.h"
#include "infer/tiny_model.h"

namespace pixellm {
namespace {

constexpr uint32_t kPromptTokens = 21, kGreedyTokens = 8;

std::vector<TinySpec> signature_models() {
  std::vector<TensorType> types;
  for (const TypeTraits& t : kTypes) types.push_back(t.type);
  TinySpec gpt2{.architecture = Architecture::kGpt2, .types = types, .n_kv_heads = 8};
  TinySpec llama{
      .architecture = Architecture::kLlama, .types = types, .tied_output = false, .rope_factors = true};
  TinySpec qwen2{.architecture = Architecture::kQwen2, .types = types, .rope_linear_factor = 4};
  TinySpec qwen3{.architecture = Architecture::kQwen3, .types = types, .n_kv_heads = 4};
  TinySpec gemma3{.architecture = Architecture::kGemma3,
                  .types = types,
                  .n_layers = 3,
                  .n_kv_heads = 1,
                  .sliding_window = 9,
                  .sliding_period = 3,
                  .attention_softcap = 20,
                  .final_softcap = 15};
  TinySpec mlp{.architecture = Architecture::kMlp};
  return {gpt2, llama, qwen2, qwen3, gemma3, mlp};
}

void hash_step(Sha256& hash, TokenId id, std::span<const float> logits) {
  std::vector<uint8_t> bytes(4 + logits.size() * 4);
  store_le<int32_t>(bytes.data(), id);
  for (size_t i = 0; i < logits.size(); i++)
    store_le<uint32_t>(bytes.data() + 4 + i * 4, std::bit_cast<uint32_t>(logits[i]));
  hash.update(bytes);
}

Result<std::string> signature_of(const TinySpec& spec, const Kernels& kernels) {
  const Model model = PIXELLM_TRY(make_tiny_model(spec).open());
  const Engine engine = PIXELLM_TRY(Engine::create(model, &kernels));
  ThreadPool pool(1);
  const auto session = PIXELLM_TRY(Session::create(engine, pool, {.context = 0, .batch = 16}));
  std::vector<TokenId> prompt;
  for (uint32_t i = 0; i < kPromptTokens; i++)
    prompt.push_back(static_cast<TokenId>((i * 37 + 11) % spec.vocab_size));

  Sha256 hash;
  PIXELLM_CHECK(
      session->feed_each(prompt, [&](uint32_t position, std::span<const float> logits) -> Result<void> {
        hash_step(hash, prompt[position], logits);
        return {};
      }));
  for (uint32_t i = 0; i < kGreedyTokens; i++) {
    const TokenId id = argmax(session->logits());
    PIXELLM_CHECK(session->feed({&id, 1}));
    hash_step(hash, id, session->logits());
  }
  return to_hex(hash.finish());
}

}  // namespace

Result<std::vector<SignaturePart>> signature_parts(const Kernels& kernels) {
  std::vector<SignaturePart> parts;
  for (const TinySpec& spec : signature_models())
    parts.push_back({architecture_name(spec.architecture), PIXELLM_TRY(signature_of(spec, kernels))});
  return parts;
}

Result<std::string> model_signature() {
  const std::vector<SignaturePart> parts = PIXELLM_TRY(signature_parts(kScalarKernels));
  std::string text;
  for (const SignaturePart& part : parts) text += part.sha256;
  return to_hex(sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
}

}  // namespace pixellm
