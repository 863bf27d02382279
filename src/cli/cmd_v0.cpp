// pixellm v0: the first brain in pixels, from random weights to a prediction.
#include "cli/commands.h"
#include "cli/v0_common.h"

namespace pixellm::cli {

int cmd_v0(int argc, char** argv) {
  static constexpr Command kVerbs[] = {
      {"init", "write the original's untrained weights", cmd_v0_init},
      {"train", "train the network on a text", cmd_v0_train},
      {"encode", "turn weights into a picture", cmd_v0_encode},
      {"decode", "turn a picture back into weights", cmd_v0_decode},
      {"infer", "predict the next token of a text", cmd_v0_infer},
      {"ask", "the same as a tool: run, embedding, similarity, score", cmd_v0_ask},
  };
  return run_group({.program = "pixellm v0",
                    .about = "Pixel-LLM v0: a small network whose weights are the pixels of a picture.",
                    .example = "pixellm v0 init -o pixellm_v0.npz\n"
                               "  pixellm v0 encode pixellm_v0.npz -o pixellm_v0.pxi\n"
                               "  pixellm v0 infer \"hello pixels\"",
                    .commands = kVerbs},
                   argc, argv);
}

}  // namespace pixellm::cli
