// pixellm v0 ask: the original's tool interface.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/commands.h"
#include "cli/v0_common.h"
#include "v0/ranking.h"

namespace pixellm::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kToolTopK = 5;

struct Answer {
  Json json;
  std::string text;  // for people
};

Result<v0::Activations> activations_of(const v0::Network& network, const std::string& text) {
  const auto ids = PIXELLM_TRY(tokenize_prompt(text, network));
  return v0::forward(network, ids);
}

Result<Answer> ask_run(const v0::Network& network, const std::vector<std::string>& texts) {
  const auto ids = PIXELLM_TRY(tokenize_prompt(texts[0], network));
  const auto logits = v0::forward(network, ids).logits;
  const auto top = v0::top_tokens(logits, std::min(kToolTopK, logits.size()));
  Json tokens = Json::array(), probs = Json::array(), true_probs = Json::array();
  std::string list;
  for (const v0::Ranked& t : top) {
    tokens.push_back(t.id);
    probs.push_back(t.prob_top_k);
    true_probs.push_back(t.prob);
    list += fmt::format("{:>6} {:<6} {:.4f} of these {}, {:.4f} of all\n", t.id, quoted_char(t.id),
                        t.prob_top_k, top.size(), t.prob);
  }
  const double mean = std::accumulate(logits.begin(), logits.end(), 0.0) / static_cast<double>(logits.size());
  return Answer{{{"text", texts[0]},
                 {"num_tokens", ids.size()},
                 {"top_token", top[0].id},
                 {"top_k_tokens", tokens},
                 {"top_k_probs", probs},
                 {"top_k_true_probs", true_probs},
                 {"logits_shape", {logits.size()}},
                 {"mean_logit", mean},
                 {"max_logit", top[0].logit}},
                list};
}

Result<Answer> ask_embedding(const v0::Network& network, const std::vector<std::string>& texts) {
  const auto hidden = PIXELLM_TRY(activations_of(network, texts[0])).hidden;
  std::string list;  // a line each
  for (const float v : hidden) list += fmt::format("{}\n", v);
  return Answer{{{"embedding", hidden}}, list};
}

Result<Answer> ask_similarity(const v0::Network& network, const std::vector<std::string>& texts) {
  const auto a = PIXELLM_TRY(activations_of(network, texts[0])),
             b = PIXELLM_TRY(activations_of(network, texts[1]));
  const double cosine = v0::cosine_similarity(a.hidden, b.hidden);
  return Answer{{{"similarity", cosine}}, fmt::format("{:.6f}\n", cosine)};
}

Result<Answer> ask_score(const v0::Network& network, const std::vector<std::string>& texts) {
  std::vector<std::pair<float, const std::string*>> scores;
  for (const std::string& text : texts)
    scores.emplace_back(std::ranges::max(PIXELLM_TRY(activations_of(network, text)).logits), &text);
  std::ranges::stable_sort(scores, std::ranges::greater(), &std::pair<float, const std::string*>::first);
  Answer answer{Json::array(), ""};
  for (const auto& [logit, text] : scores) {
    answer.json.push_back({{"text", *text}, {"max_logit", logit}});
    answer.text += fmt::format("{:.4f} {}\n", logit, printable(*text));
  }
  return answer;
}

struct Question {
  const char *about, *keys, *example;
  size_t texts;  // 0: one or more
  Result<Answer> (*ask)(const v0::Network&, const std::vector<std::string>&);
};

int ask(int argc, char** argv, const Question& question) {
  CLI::App app(question.about);
  std::vector<std::string> texts;
  std::string path;
  bool json = false;
  auto* option = app.add_option("TEXT", texts, "UTF-8, not empty")->required();
  if (question.texts > 0) option->expected(static_cast<int>(question.texts));
  add_v0_model_option(app, path);
  app.add_flag("--json", json, question.keys);
  app.footer(fmt::format(
      "A text that begins with - stands behind --, after all options.\n\nExample:\n  pixellm v0 ask {}",
      question.example));
  if (auto status = parse(app, argc, argv)) return *status;
  const auto model = v0::PixelModel::open(path);
  if (!model) return report(model.error());
  const auto answer = question.ask(model->network, texts);
  if (!answer) return report(answer.error());
  fmt::print("{}", json ? answer->json.dump() + "\n" : answer->text);
  return 0;
}

int run(int argc, char** argv) {
  return ask(argc, argv,
             {"Predicts the token after a text.",
              "{text, num_tokens, top_token, top_k_tokens, top_k_probs, "
              "top_k_true_probs, logits_shape, mean_logit, max_logit}",
              "run \"pxOS\" --json", 1, ask_run});
}

int embedding(int argc, char** argv) {
  return ask(argc, argv,
             {"Prints the hidden layer's activations for a text.", "{embedding}", "embedding \"pxOS\" --json",
              1, ask_embedding});
}

int similarity(int argc, char** argv) {
  return ask(argc, argv,
             {"Compares the embeddings of two texts: the cosine, 0 when one of them is all zeros.",
              "{similarity}", "similarity \"pixel\" \"pixels\"", 2, ask_similarity});
}

int score(int argc, char** argv) {
  return ask(argc, argv,
             {"Orders texts by their largest logit, best first.", "[{text, max_logit}]",
              "score \"yes\" \"no\" --json", 0, ask_score});
}

// Options may stand before the question as well: puts the question first. Returns the count of arguments, 1
// where there is no question.
int bring_question_forward(int argc, char** argv) {
  int at = 1;
  for (; at < argc; at++) {
    const std::string_view word = argv[at];
    if (word == "--model")
      at++;  // its value is no question
    else if (word != "--json" && !word.starts_with("--model="))
      break;
  }
  if (at >= argc) return 1;
  std::rotate(argv + 1, argv + at, argv + at + 1);
  return argc;
}

}  // namespace

int cmd_v0_ask(int argc, char** argv) {
  static constexpr Command kQuestions[] = {
      {"run", "predict the next token", run},
      {"embedding", "the hidden activations", embedding},
      {"similarity", "compare two texts", similarity},
      {"score", "order texts by their largest logit", score},
  };
  static constexpr CommandGroup kGroup = {.program = "pixellm v0 ask",
                                          .about = "Questions to a v0 picture, answered for programs too.",
                                          .example = "pixellm v0 ask similarity \"pixel\" \"pixels\" --json",
                                          .commands = kQuestions};
  return run_group(kGroup, bring_question_forward(argc, argv), argv);
}

}  // namespace pixellm::cli
