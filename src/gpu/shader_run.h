// Tests of single shaders: buffers from vectors, dispatches, words read back.
#pragma once
#include <bit>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/gpu_test_world.h"
#include "gpu/shaders.h"

namespace pixellm::gpu {

class ShaderRun {
 public:
  using Pipelines = std::map<std::string, Pipeline>;  // by shader and constants: a test's runs share them

  ShaderRun(Device& device, Pipelines& pipelines) : device_(device), pipelines_(pipelines) {}

  const Buffer& storage(const std::vector<uint32_t>& words) { return filled(words, BufferUse::kStorage); }
  const Buffer& storage(const std::vector<float>& values) {
    return filled(words_of(values), BufferUse::kStorage);
  }
  const Buffer& uniform(std::vector<uint32_t> words) {
    words.resize((words.size() + 3) / 4 * 4);
    return filled(words, BufferUse::kUniform);
  }

  void dispatch(std::string_view shader, std::span<const Constant> constants,
                std::span<const Binding> bindings, uint32_t x, uint32_t y = 1) {
    std::string key(shader);
    for (const Constant& c : constants) key.append(c.name).append(std::to_string(c.value));
    auto found = pipelines_.find(key);
    if (found == pipelines_.end()) {
      auto made = device_.pipeline(shader, shader_text(shader), constants);
      ASSERT_TRUE(made) << made.error().message;
      found = pipelines_.emplace(std::move(key), std::move(*made)).first;
    }
    auto group = device_.bind(found->second, bindings);
    ASSERT_TRUE(group) << group.error().message;
    groups_.push_back(std::move(*group));
    commands_.dispatch(found->second, groups_.back(), x, y);
  }

  // Runs what was dispatched since the last read, then reads the whole buffer.
  std::vector<uint32_t> read(const Buffer& buffer) {
    std::vector<uint32_t> words(buffer.bytes() / sizeof(uint32_t));
    const auto done =
        device_.submit_read(commands_, buffer, 0, {reinterpret_cast<uint8_t*>(words.data()), buffer.bytes()});
    EXPECT_TRUE(done) << done.error().message;
    commands_.clear();
    return words;
  }

  static std::vector<uint32_t> words_of(const std::vector<float>& values) {
    std::vector<uint32_t> words;
    for (const float v : values) words.push_back(std::bit_cast<uint32_t>(v));
    return words;
  }

 private:
  const Buffer& filled(const std::vector<uint32_t>& words, BufferUse use) {
    auto buffer = device_.buffer(words.size() * sizeof(uint32_t), use, "test");
    EXPECT_TRUE(buffer) << buffer.error().message;
    buffers_.push_back(std::move(*buffer));
    const auto written =
        device_.write(buffers_.back(), 0,
                      {reinterpret_cast<const uint8_t*>(words.data()), words.size() * sizeof(uint32_t)});
    EXPECT_TRUE(written) << written.error().message;
    return buffers_.back();
  }

  Device& device_;
  Pipelines& pipelines_;
  std::deque<Buffer> buffers_;  // deques: addresses stay
  std::deque<BindGroup> groups_;
  Commands commands_;
};

}  // namespace pixellm::gpu
