// pixellm v0 infer: the next token of a text or of a token picture.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"
#include "cli/v0_common.h"
#include "cli/v0_report.h"
#include "v0/protocol.h"

namespace pixellm::cli {
namespace {

constexpr const char* kPictureNames[] = {"input_tokens.pxi", "output_token.pxi", "logits_heatmap.pxi"};

struct InferFlags {
  std::string text, picture, model, logits, out;
  bool from_text = false, verbose = false, json = false;
  uint32_t top_k = 10;
};

void print_json(const InferFlags& flags, const V0Prediction& p) {
  nlohmann::ordered_json top = nlohmann::ordered_json::array();
  for (const v0::Ranked& t : p.top)
    top.push_back({{"id", t.id},
                   {"char", std::string(1, v0::token_char(t.id))},
                   {"logit", t.logit},
                   {"prob_top_k", t.prob_top_k},
                   {"prob", t.prob}});
  const nlohmann::ordered_json text = flags.from_text ? nlohmann::ordered_json(flags.text) : nullptr;
  const nlohmann::ordered_json out = {{"text", text},
                                      {"ids", p.ids},
                                      {"num_tokens", p.ids.size()},
                                      {"active_hidden", p.active_hidden()},
                                      {"top", top}};
  fmt::print("{}\n", out.dump());
}

Result<void> write_pictures(const std::string& folder, const V0Prediction& p) {
  const auto tokens = PIXELLM_TRY(v0::token_picture(p.ids));
  const size_t k = std::min<size_t>(v0::kProtocolPredictions, p.activations.logits.size());
  const auto best = v0::top_tokens(p.activations.logits, k);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return fail(ErrorCode::kIo, fmt::format("{}: cannot create the folder: {}", folder, error.message()));
  const std::filesystem::path root = folder;
  PIXELLM_CHECK(v0::write_picture(tokens, root / kPictureNames[0]));
  PIXELLM_CHECK(v0::write_picture(v0::prediction_picture(best), root / kPictureNames[1]));
  return v0::write_picture(v0::heatmap_picture(p.activations.logits), root / kPictureNames[2]);
}

std::vector<std::string> outputs_of(const InferFlags& flags) {
  std::vector<std::string> out;
  if (!flags.logits.empty()) out.push_back(flags.logits);
  for (const char* name : kPictureNames)
    if (!flags.out.empty()) out.push_back(std::filesystem::path(flags.out) / name);
  return out;
}

Result<void> infer(const InferFlags& flags) {
  const auto model = PIXELLM_TRY(v0::PixelModel::open(flags.model));
  if (flags.top_k > model.network.vocab_size)
    return fail(ErrorCode::kInvalidArgument, fmt::format("v0 infer: --top-k {}: the model has {} tokens",
                                                         flags.top_k, model.network.vocab_size));
  V0Prediction p;
  p.ids = PIXELLM_TRY(flags.from_text ? tokenize_prompt(flags.text, model.network)
                                      : v0::read_tokens(flags.picture, model.network.vocab_size));
  p.activations = v0::forward(model.network, p.ids);
  const auto& logits = p.activations.logits;
  if (!std::ranges::all_of(logits, [](float l) { return std::isfinite(l); }))
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: its weights are so large that the logits overflow", flags.model));
  p.top = v0::top_tokens(logits, flags.top_k);
  for (const std::string& out : outputs_of(flags))
    for (const std::string& in : {flags.model, v0::meta_path(flags.model), flags.picture})
      PIXELLM_CHECK(check_other_file(in, out));
  if (!flags.out.empty()) PIXELLM_CHECK(write_pictures(flags.out, p));
  if (!flags.logits.empty()) PIXELLM_CHECK(write_file(flags.logits, write_npy({{logits.size()}, logits})));
  if (flags.json) {
    if (flags.verbose) print_v0_stages(stderr, model.network, p);
    print_json(flags, p);
    return {};
  }
  const std::string input = flags.from_text ? fmt::format("Input text: '{}'", flags.text)
                                            : fmt::format("Input picture: {}", flags.picture);
  print_v0_report(input, model, p, flags.verbose);
  return {};
}

}  // namespace

int cmd_v0_infer(int argc, char** argv) {
  CLI::App app("Predicts the token after a text with weights that live in a picture.");
  InferFlags flags;
  auto* input = app.add_option_group("input");
  const auto* text = input->add_option("TEXT", flags.text, "the text, UTF-8");
  input->add_option("-i,--input", flags.picture, "a token picture instead (pixel protocol v1)");
  input->require_option(1);
  add_v0_model_option(app, flags.model);
  app.add_option("--top-k", flags.top_k, "tokens to print")
      ->check(CLI::Range(1u, v0::kMaxVocabSize))
      ->capture_default_str();
  app.add_option("--logits", flags.logits, "write the logits as a NumPy file: float32 [vocab_size]");
  app.add_option("--out", flags.out,
                 "write input_tokens.pxi, output_token.pxi and logits_heatmap.pxi into this folder");
  app.add_flag("-v,--verbose", flags.verbose,
               "print the five stages of the forward pass (with --json on standard error)");
  app.add_flag("--json", flags.json,
               "{text, ids, num_tokens, active_hidden, top [{id, char, logit, prob_top_k, prob}]}");
  app.footer(
      "Of equal logits the lower id comes first. prob_top_k is the softmax over the printed tokens only.\n"
      "A text that begins with - stands behind --, after all options.\n\n"
      "Example:\n  pixellm v0 infer \"hello pixels\" --model pixellm_v0.pxi --verbose");
  if (auto status = parse(app, argc, argv)) return *status;
  flags.from_text = text->count() > 0;
  if (flags.logits == "-")
    return report_usage("v0 infer: --logits needs a file: standard output has the prediction");
  const auto done = infer(flags);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
