// Runs a fuzz target without a fuzzer: on every file of a corpus, then on random changes of them.
//
//     fuzz_path_smoke CORPUS [INPUTS]
//
// The changes are the same in each run. With clang and -Dfuzz=true libFuzzer takes this file's
// place.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMaxInput = 4096;  // bytes

std::vector<std::string> ReadCorpus(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& corpus) : corpus_(corpus) {}

  std::string Next() {
    std::string input = Any();
    for (size_t changes = 1 + Pick(8); changes > 0; --changes) Change(input);
    input.resize(std::min(input.size(), kMaxInput));
    return input;
  }

 private:
  size_t Pick(size_t n) { return random_() % n; }
  const std::string& Any() { return corpus_[Pick(corpus_.size())]; }

  void Change(std::string& input) {
    const size_t at = Pick(input.size() + 1);
    const size_t length = std::min(input.size() - at, Pick(32));
    switch (Pick(5)) {
      case 0:
        input.erase(at, length);
        break;
      case 1:
        input.insert(at, input.substr(at, length));
        break;
      case 2: {
        const std::string& other = Any();
        input.insert(at, other, Pick(other.size() + 1), Pick(64));
        break;
      }
      case 3:
        input.insert(at, 1, static_cast<char>(random_()));
        break;
      default:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << Pick(8)));
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937 random_{1};
};

void RunOne(const std::string& input) {
  (void)LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> corpus =
      argc > 1 ? ReadCorpus(argv[1]) : std::vector<std::string>();
  if (corpus.empty()) {
    std::fprintf(stderr, "usage: %s CORPUS [INPUTS]: a folder with at least one file\n", argv[0]);
    return 2;
  }
  const long inputs = argc > 2 ? std::atol(argv[2]) : 2000;
  for (const std::string& input : corpus) RunOne(input);
  Mutator mutator(corpus);
  for (long i = 0; i < inputs; ++i) RunOne(mutator.Next());
  std::printf("%zu inputs from the corpus, %ld changed ones\n", corpus.size(), inputs);
}
