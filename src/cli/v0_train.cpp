// pixellm v0 train: weights that a text taught.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/v0_common.h"
#include "v0/train.h"

namespace pixellm::cli {
namespace {

constexpr uint64_t kMaxCorpusBytes = uint64_t{1} << 30;
constexpr uint32_t kReportSteps = 100;

struct TrainFlags {
  std::string corpus, out, objective = "next", held_out;
  bool json = false;
  v0::TrainOptions options;
};

Result<std::vector<v0::TokenId>> read_corpus(const std::string& path) {
  const auto bytes = PIXELLM_TRY(read_file(path, kMaxCorpusBytes));
  const std::string name = path == "-" ? "standard input" : path;
  if (bytes.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("{}: is empty", name));
  auto ids = v0::tokenize({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, v0::kVocabSize);
  if (!ids) return fail_in(name, std::move(ids).error());
  return ids;
}

void print_line(const nlohmann::ordered_json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

// Reports every hundred steps and after the last: the batches are small, so their mean says more than one of
// them.
v0::OnStep reporter(const TrainFlags& flags) {
  return [&flags, sum = 0.0, count = 0u](uint32_t step, double loss) mutable -> Result<void> {
    sum += loss;
    count++;
    if (step % kReportSteps == 0 || step == flags.options.steps) {
      const double mean = sum / count;
      if (flags.json) print_line({{"step", step}, {"loss", mean}, {"batch_loss", loss}});
      note(fmt::format("step {} of {}: loss {:.4f}", step, flags.options.steps, mean));
      sum = count = 0;
    }
    if (interrupted())
      return fail(ErrorCode::kIo, fmt::format("v0 train: interrupted after step {}, nothing written", step));
    return {};
  };
}

Result<void> report_held_out(const TrainFlags& flags, const v0::Network& network,
                             const std::vector<v0::TokenId>& text, ThreadPool& pool) {
  const auto& o = flags.options;
  const auto e = PIXELLM_TRY(v0::evaluate(network, text, o.objective, o.window, pool));
  if (flags.json) print_line({{"step", o.steps}, {"val_loss", e.loss}, {"val_constant_loss", e.constant}});
  note(fmt::format("{}: loss {:.4f} over {} windows; the best constant prediction has {:.4f}", flags.held_out,
                   e.loss, e.windows, e.constant));
  return {};
}

// What would fail after the training is better known before it; nothing is left behind.
Result<void> check_before(const TrainFlags& flags, const std::vector<v0::TokenId>& held_out) {
  if (!flags.held_out.empty() && held_out.size() < uint64_t{flags.options.window} + 2)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: has {} tokens, a window of {} needs at least {}", flags.held_out,
                            held_out.size(), flags.options.window, uint64_t{flags.options.window} + 2));
  if (flags.out == "-") return {};
  PIXELLM_CHECK(check_other_file(flags.corpus, flags.out));
  PIXELLM_CHECK(check_other_file(flags.held_out, flags.out));
  const auto probe = AtomicFile::create(flags.out);
  return probe ? Result<void>() : std::unexpected(probe.error());
}

Result<void> train(const TrainFlags& flags, int threads) {
  const auto tokens = PIXELLM_TRY(read_corpus(flags.corpus));
  std::vector<v0::TokenId> held_out;
  if (!flags.held_out.empty()) held_out = PIXELLM_TRY(read_corpus(flags.held_out));
  PIXELLM_CHECK(check_before(flags, held_out));
  ThreadPool pool(threads);
  catch_interrupts();
  const auto network = PIXELLM_TRY(v0::train(tokens, flags.options, pool, reporter(flags)));
  PIXELLM_CHECK(v0::write_network(flags.out, network));
  if (!flags.json) print_network("TRAINED WEIGHTS", network, flags.out);
  return held_out.empty() ? Result<void>() : report_held_out(flags, network, held_out, pool);
}

}  // namespace

int cmd_v0_train(int argc, char** argv) {
  CLI::App app("Trains the network on a UTF-8 text by plain gradient descent. Ctrl-C stops without writing.");
  TrainFlags flags;
  ModelFlags common;
  const auto original = v0::default_options(v0::Objective::kOriginal),
             next = v0::default_options(v0::Objective::kNext);
  v0::TrainOptions& o = flags.options;
  app.add_option("CORPUS", flags.corpus, "the text (-: standard input)")->required();
  app.add_option("-o,--output", flags.out, "the .npz to write; - is standard output")->required();
  app.add_option(
         "--objective", flags.objective,
         "next: predict the token after the window; original: the window's second token, as the first\n"
         "version did, whose answer stands in the question")
      ->check(CLI::IsMember({"next", "original"}))
      ->capture_default_str();
  const auto* steps = app.add_option("--steps", o.steps,
                                     fmt::format("batches to learn from; default {} (original: {})",
                                                 next.steps, original.steps))
                          ->check(CLI::Range(1, 100000000));
  const auto* lr =
      app.add_option("--lr", o.lr,
                     fmt::format("learning rate; default {} (original: {})", next.lr, original.lr))
          ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--batch", o.batch, "windows a step")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--window", o.window,
                 "tokens a window; fewer predict better, for the network does not see their order")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  add_seed_option(app, o.seed, "of the weights and the batches");
  app.add_option("--held-out", flags.held_out, "a text to measure the loss on afterwards");
  app.add_flag("--json", flags.json, "a line every 100 steps on standard output: {step, loss, batch_loss}");
  common.add_threads_to(app);
  app.footer(
      "The losses are means of -ln p since the last line. The result does not depend on --threads.\n\n"
      "Example:\n  pixellm v0 train corpus.txt -o pixellm_v0.npz --window 4");
  if (auto status = parse(app, argc, argv)) return *status;
  if (flags.json && flags.out == "-")
    return report_usage("v0 train: --json and -o - both want standard output");
  o.objective = flags.objective == "next" ? v0::Objective::kNext : v0::Objective::kOriginal;
  const auto defaults = v0::default_options(o.objective);
  if (steps->count() == 0) o.steps = defaults.steps;
  if (lr->count() == 0) o.lr = defaults.lr;
  const auto done = train(flags, common.threads);
  return done ? 0 : report(done.error());
}

}  // namespace pixellm::cli
