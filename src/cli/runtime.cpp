#include "cli/runtime.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "base/page_cache.h"
#include "infer/config.h"

namespace pixellm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double ms_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - start).count();
}

// What to do about files that people give where a picture is expected.
Error with_hint(const std::string& path, Error error) {
  auto file = File::open(path);
  std::array<uint8_t, 4> head{};
  if (!file || file->size() < head.size() || !file->read_at(0, head)) return error;
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (text.find_first_not_of(" \t\r\n") != text.npos && text[text.find_first_not_of(" \t\r\n")] == '{')
    error.message += " (this version takes the vocabulary from a model's picture, not from a tokenizer.json)";
  return error;
}

}  // namespace

Result<Model> open_model(const std::string& path, VerifyLevel level, ThreadPool& pool) {
  auto model = Model::open(path, level, pool);
  if (!model) return std::unexpected(with_hint(path, std::move(model).error()));
  return model;
}

namespace {

Result<Tokenizer> make_tokenizer(const Model& model) {
  return Tokenizer::create(PIXELLM_TRY(read_tokenizer_spec(model.metadata())));
}

// Does `aside` on a thread of its own while `here` is done, or after it where there is no other thread.
void do_both(bool may_start_thread, const std::function<void()>& aside, const std::function<void()>& here) {
  std::thread thread;
  try {
    if (may_start_thread) thread = std::thread(aside);
  } catch (const std::system_error&) {
    // Nothing lost but time.
  }
  here();
  if (thread.joinable()) return thread.join();
  aside();
}

// A model that is not in memory yet takes as long as the disk does: not without a word.
void say_what_is_read(const PixelPlane& plane) {
  constexpr uint64_t kWorthAWord = 64 << 20;
  if (plane.kind() != PlaneKind::kFlatPng && plane.kind() != PlaneKind::kPxif) return;
  const uint64_t missing = bytes_not_in_memory({plane.base(), plane.rows() * plane.row_stride()});
  if (missing >= kWorthAWord) note(fmt::format("reading {} of {} from the disk", human_bytes(missing), plane.path()));
}

}  // namespace

Result<Runtime> Runtime::open(const std::string& path, const ModelFlags& flags, bool with_tokenizer) {
  const auto start = Clock::now();
  Runtime r;
  r.pool = std::make_unique<ThreadPool>(flags.threads, flags.pin);
  // What cannot be opened is tried again with verification, which may name the damage that made it so.
  auto model = Model::open(path, VerifyLevel::kNone, *r.pool);
  if (!model) model = open_model(path, flags.level(), *r.pool);
  r.model = std::make_unique<Model>(PIXELLM_TRY(std::move(model)));
  say_what_is_read(r.model->plane());

  // A large vocabulary takes about as long to make ready as a small model to verify. What the metadata hold
  // is checked when it is used, so that this need not wait for the verdict.
  Result<std::vector<std::string>> damage;
  std::optional<Result<Tokenizer>> tokenizer;
  const auto verify = [&] {
    const auto begin = Clock::now();
    damage = r.model->verify(flags.level(), *r.pool);
    r.verify_ms = ms_between(begin, Clock::now());
  };
  const auto add_tokenizer = [&] {
    if (with_tokenizer) tokenizer = make_tokenizer(*r.model);
  };
  do_both(with_tokenizer && r.pool->size() > 1, add_tokenizer, verify);
  // A model that fails is opened again: Model::open names the damage.
  if (!damage || !damage->empty()) {
    r.model = std::make_unique<Model>(PIXELLM_TRY(open_model(path, flags.level(), *r.pool)));
    add_tokenizer();
  }
  if (tokenizer) r.tokenizer = std::make_unique<Tokenizer>(PIXELLM_TRY(std::move(*tokenizer)));
  r.engine = std::make_unique<Engine>(PIXELLM_TRY(Engine::create(*r.model)));
  r.backend = PIXELLM_TRY(open_backend(*r.engine, flags.device));
  r.load_ms = ms_between(start, Clock::now()) - r.verify_ms;
  return r;
}

void add_session_options(CLI::App& app, SessionOptions& options) {
  const std::map<std::string, ActivationKind> bits = {{"8", ActivationKind::kInt8},
                                                      {"16", ActivationKind::kInt16}};
  app.add_option(
         "--activations", options.activations,
         "bits of the values that quantised weights are multiplied with: 8, or 16 for logits close to exact "
         "ones at a slower prompt; float weights take floats")
      ->transform(CLI::Transformer(bits))
      ->check(CLI::IsMember({ActivationKind::kInt8, ActivationKind::kInt16}))
      ->type_name("8|16")
      ->default_str(options.activations == ActivationKind::kInt8 ? "8" : "16");
  const std::map<std::string, CacheKind> kinds = {{"8", CacheKind::kInt8}, {"16", CacheKind::kF16}};
  app.add_option("--kv-cache", options.cache,
                 "bits of the keys and values kept of every token: 16, or 8 for half the memory")
      ->transform(CLI::Transformer(kinds))
      ->check(CLI::IsMember({CacheKind::kInt8, CacheKind::kF16}))
      ->type_name("8|16")
      ->default_str("16");
}

Result<std::unique_ptr<Session>> Runtime::new_session(const SessionOptions& options) const {
  SessionOptions here = options;
  here.backend = backend.get();
  return Session::create(*engine, *pool, here);
}

Result<std::unique_ptr<gpu::GpuBackend>> open_backend(const Engine& engine, const std::string& device) {
  if (device == "cpu") return nullptr;
  const auto open = [&]() -> Result<std::unique_ptr<gpu::GpuBackend>> {
    auto opened = PIXELLM_TRY(gpu::Device::open({}));
    return gpu::make_backend(std::move(opened), engine, progress_bar("Uploading"));
  };
  auto backend = open();
  if (device == "auto") {
    if (!backend) {
      note(fmt::format("device: cpu ({})", backend.error().message));
      return nullptr;
    }
    note(fmt::format("device: {}", (*backend)->name()));
  }
  return backend;
}

Result<Tokenizer> open_tokenizer(const std::string& path, const ModelFlags& flags) {
  ThreadPool pool(flags.threads);
  const Model model = PIXELLM_TRY(open_model(path, flags.level(), pool));
  return make_tokenizer(model);
}

void warn_of_dropped(std::string_view dropped) {
  if (dropped.empty()) return;
  std::map<uint8_t, size_t> counts;
  for (const char c : dropped) counts[static_cast<uint8_t>(c)]++;
  std::string list;
  for (const auto& [byte, count] : counts)
    list += fmt::format("{}0x{:02X}{}", list.empty() ? "" : ", ", byte,
                        count > 1 ? fmt::format(" ({} times)", count) : "");
  warn(fmt::format("dropped bytes that this vocabulary has no token for: {}", list));
}

std::vector<TokenId> encode_text(const Tokenizer& tokenizer, std::string_view text, bool special) {
  std::string dropped;
  auto ids = tokenizer.encode(text, special, &dropped);
  warn_of_dropped(dropped);
  return ids;
}

Result<ChatTemplate> open_chat_template(const Model& model, const std::optional<std::string>& name) {
  if (name) return ChatTemplate::from_name(*name);
  const auto jinja = model.metadata().string("tokenizer.chat_template");
  if (jinja) return ChatTemplate::detect(*jinja);
  std::string names;
  for (const std::string_view known : ChatTemplate::names())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known);
  return fail(ErrorCode::kNotFound,
              fmt::format("the model has no chat template; give one by name: --template {}", names));
}

}  // namespace pixellm::cli
