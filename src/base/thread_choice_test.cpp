#include "base/thread_choice.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace pixellm {
namespace {

// Steps taken with each number of threads.
std::map<int, int> simulate(ThreadChoice& choice, int steps,
                            const std::function<double(int threads)>& seconds) {
  std::map<int, int> taken;
  for (int i = 0; i < steps; i++) {
    const int n = choice.next();
    taken[n]++;
    choice.took(seconds(n));
  }
  return taken;
}

TEST(ThreadChoice, StaysWithAllWhereTheyAreFastest) {
  ThreadChoice choice(8);
  const auto taken = simulate(choice, 2000, [](int n) { return 1.0 / n; });
  EXPECT_GE(taken.at(8), 1970);  // the rest are trials
}

TEST(ThreadChoice, LeavesAllWhenTheyStandInEachOthersWay) {
  ThreadChoice choice(2);
  const auto taken = simulate(choice, 200, [](int n) { return n == 2 ? 10.0 : 1.0; });
  EXPECT_GE(taken.at(1), 175);
}

TEST(ThreadChoice, ReactsSoonAndComesBack) {
  ThreadChoice choice(4);
  simulate(choice, 1000, [](int n) { return 1.0 / n; });
  const auto busy = simulate(choice, 100, [](int n) { return n > 1 ? 20.0 : 2.0; });
  EXPECT_GE(busy.at(1), 50);
  EXPECT_EQ(choice.next(), 1);
  simulate(choice, 1000, [](int n) { return 1.0 / n; });
  EXPECT_EQ(choice.next(), 4);
}

TEST(ThreadChoice, OneThreadHasNoChoice) {
  ThreadChoice choice(1);
  EXPECT_EQ(simulate(choice, 50, [](int) { return 1.0; }).at(1), 50);
}

TEST(ThreadChoice, NumbersOfAnySize) {
  for (const int most : {0, 3, 5, 7, 512}) {
    ThreadChoice choice(most);
    for (const auto& [n, count] : simulate(choice, 600, [](int n) { return static_cast<double>(n); })) {
      EXPECT_GE(n, 1);
      EXPECT_LE(n, most > 0 ? most : 1);
    }
    EXPECT_EQ(choice.next(), 1);
  }
}

}  // namespace
}  // namespace pixellm
