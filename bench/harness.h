// How the benchmarks take their numbers and print them.
//
// Contenders run in turn, A B C A B C ..., in batches long enough for the clock (100 to 300 us) and
// short enough that few of them meet a preemption; a ratio is the median of the rounds' ratios, so
// what the machine does to a whole round cancels.
//
//   int main(int argc, char** argv) {
//     bench::Report report(argc, argv);
//     bench::Experiment experiment(report.rounds());
//     auto ours = experiment.Add("ours", [&](uint64_t n) { while (n--) Ours(); });
//     auto peer = experiment.Add("peer", [&](uint64_t n) { while (n--) Peer(); });
//     experiment.Run();
//     report.Table("hot stat", experiment);
//     report.Goal("G1", "hot stat", ours.median(), "ns", bench::AtMost(31.7));
//   }
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dentree::bench {

// The middle value, or the mean of the two in the middle; `values` has at least one.
double Median(std::vector<double> values);

// The smallest value that at least 90 % of the values do not exceed.
double Percentile90(std::vector<double> values);

// The median of a[i] / b[i]. Not the ratio of the medians: samples of one round belong together.
double MedianOfRatios(const std::vector<double>& a, const std::vector<double>& b);

// Makes the compiler believe that `value` is used.
template <class T>
void Keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// Several ways to do the same thing, measured side by side.
//
// Thread safety: none; bodies may use threads of their own.
// Lifetime: a Contender is valid as long as its Experiment.
class Experiment {
 public:
  class Contender {
   public:
    const std::string& name() const { return name_; }
    // Nanoseconds per operation, one per round.
    const std::vector<double>& samples() const { return samples_; }
    double median() const { return Median(samples_); }
    double RatioTo(const Contender& peer) const { return MedianOfRatios(samples_, peer.samples_); }

   private:
    friend class Experiment;
    std::string name_;
    std::function<int64_t(uint64_t)> batch_;  // does n operations, returns how many ns they took
    uint64_t operations_ = 1;                 // per batch
    std::vector<double> samples_;
  };

  explicit Experiment(int rounds) : rounds_(rounds) {}

  // `body(n)` does the operation n times.
  const Contender& Add(std::string_view name, std::function<void(uint64_t)> body);
  // For operations that need something done between them: `batch(n)` times its n operations itself
  // and returns their nanoseconds.
  const Contender& AddTimed(std::string_view name, std::function<int64_t(uint64_t)> batch);

  void Run();

  const std::deque<Contender>& contenders() const { return contenders_; }

 private:
  const int rounds_;
  std::deque<Contender> contenders_;  // a deque, because Add hands out references
};

// What a goal demands of a value.
struct Bound {
  enum class Side { kAtMost, kAtLeast };
  Side side;
  double limit;

  bool Holds(double value) const { return side == Side::kAtMost ? value <= limit : value >= limit; }
};
constexpr Bound AtMost(double limit) { return {Bound::Side::kAtMost, limit}; }
constexpr Bound AtLeast(double limit) { return {Bound::Side::kAtLeast, limit}; }

// "G1 hot stat 29.4 ns must <=31.7 ok"; "short" instead of "ok" where the bound does not hold.
std::string GoalLine(std::string_view goal, std::string_view what, double value,
                     std::string_view unit, Bound bound);

// A benchmark program's command line and output: tables, or with --goals one line per goal.
//
// Constructing one pins the process to one processor and raises its priority where that is allowed.
// Thread safety: none. Lifetime: that of main().
class Report {
 public:
  // Exits with 2 and the usage if the arguments are not [--goals] [--rounds N].
  Report(int argc, char** argv);

  int rounds() const { return rounds_; }

  void Table(std::string_view title, const Experiment& experiment) const;
  // A row of what is not a time: bytes, counts.
  void Value(std::string_view what, double value, std::string_view unit) const;
  void Goal(std::string_view goal, std::string_view what, double value, std::string_view unit,
            Bound bound) const;

 private:
  enum class Output { kTables, kGoals };
  Output output_ = Output::kTables;
  int rounds_ = 201;
};

}  // namespace dentree::bench
