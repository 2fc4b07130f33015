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

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
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

// A second thread that repeats a job, on a processor of its own, while something is measured.
//
// Thread safety: none; it belongs to the thread that measures. A job uses nothing that the measured
// body uses without locks.
class Companion {
 public:
  using Job = std::function<void()>;  // one step, short beside a batch

  // `processor`: Report::other_processor().
  explicit Companion(int processor);
  ~Companion();
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;

  // Returns once the job has been done for the first time.
  void Start(const Job& job);
  // Returns once it is not being done any more.
  void Stop();
  // Done so far, by all jobs.
  uint64_t steps() const { return steps_.load(std::memory_order_acquire); }

 private:
  enum State : uint32_t { kIdle, kRunning, kEnding };

  void Run();

  Job job_;  // written while the thread is idle
  alignas(64) std::atomic<State> wanted_{kIdle};
  std::atomic<bool> idle_{true};
  alignas(64) std::atomic<uint64_t> steps_{0};
  std::thread thread_;
};

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
    double min() const;
    double RatioTo(const Contender& peer) const { return MedianOfRatios(samples_, peer.samples_); }

   private:
    friend class Experiment;
    std::string name_;
    std::function<int64_t(uint64_t)> batch_;  // does n operations, returns how many ns they took
    uint64_t operations_ = 1;                 // per batch
    const Contender* minuend_ = nullptr;      // of a difference, which has no batch
    const Contender* subtrahend_ = nullptr;
    std::vector<double> samples_;
  };

  // Windows that AddBeside measures for one sample before it gives up: the companion never ran.
  static constexpr int kMaxWindows = 1000;

  explicit Experiment(int rounds) : rounds_(rounds) {}

  // `body(n)` does the operation n times.
  const Contender& Add(std::string_view name, std::function<void(uint64_t)> body);
  // For operations that need something done between them: `batch(n)` times its n operations itself
  // and returns their nanoseconds.
  const Contender& AddTimed(std::string_view name, std::function<int64_t(uint64_t)> batch);
  // While `companion` does `job`. A window counts only if the companion advanced in each quarter of
  // it; others are measured again.
  const Contender& AddBeside(std::string_view name, Companion& companion, Companion::Job job,
                             std::function<void(uint64_t)> body);
  // What `a` took longer than `b`, round by round; both of this experiment.
  const Contender& AddDifference(std::string_view name, const Contender& a, const Contender& b);

  void Run();

  const std::deque<Contender>& contenders() const { return contenders_; }
  // Windows in which the companion stood still.
  uint64_t windows_lost() const { return windows_lost_; }

 private:
  const int rounds_;
  uint64_t windows_lost_ = 0;
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
  // A number that the program takes besides.
  struct Option {
    std::string_view name;  // "--entries"
    uint64_t* value;
  };

  // Exits with 2 and the usage if the arguments are not [--goals] [--rounds N] or of `options`.
  Report(int argc, char** argv, std::vector<Option> options = {});

  int rounds() const { return rounds_; }
  // A processor for a second thread; -1: there is none.
  int other_processor() const { return other_processor_; }

  void Table(std::string_view title, const Experiment& experiment) const;
  // Values by row and column.
  struct Row {
    std::string name;
    std::vector<double> values;
  };
  void Grid(std::string_view title, const std::vector<std::string>& columns,
            const std::vector<Row>& rows) const;
  // A line of text under the tables.
  void Note(std::string_view text) const;
  // A row of what is not a time: bytes, counts.
  void Value(std::string_view what, double value, std::string_view unit) const;
  void Goal(std::string_view goal, std::string_view what, double value, std::string_view unit,
            Bound bound) const;

 private:
  enum class Output { kTables, kGoals };

  void PinToOneProcessor();

  Output output_ = Output::kTables;
  int rounds_ = 201;
  int other_processor_ = -1;
};

}  // namespace dentree::bench
