// What the verbs of `pixellm v0` share.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/common.h"
#include "v0/pixel_model.h"

namespace pixellm::cli {

int cmd_v0_init(int argc, char** argv);
int cmd_v0_train(int argc, char** argv);
int cmd_v0_encode(int argc, char** argv);
int cmd_v0_decode(int argc, char** argv);
int cmd_v0_infer(int argc, char** argv);
int cmd_v0_ask(int argc, char** argv);

inline constexpr char kDefaultV0Model[] = "pixellm_v0.pxi";

// --model F.pxi.
void add_v0_model_option(CLI::App& app, std::string& path);

// --seed, any unsigned 64-bit number.
void add_seed_option(CLI::App& app, uint64_t& seed, const std::string& help);

// "279,680".
std::string with_commas(uint64_t n);

// The original's table of a network: tensors by name, shapes, parameters, MB. To stderr when `output` is "-".
void print_network(std::string_view title, const v0::Network& network, const std::string& output);

// The ids of a prompt. kInvalidArgument: empty, not UTF-8.
Result<std::vector<v0::TokenId>> tokenize_prompt(const std::string& text, const v0::Network& network);

// An id's character for people: 'a', '\n', '?'.
std::string quoted_char(uint32_t id);

}  // namespace pixellm::cli
