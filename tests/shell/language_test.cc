// The parts of the language that need no file system: syntax, patterns, options, streams.
#include <random>
#include <thread>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shell/pattern.h"
#include "shell/shell.h"

namespace dentree::shell {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A script as text that shows its structure: words in [], quoted parts in '', variables as $NAME.
std::string Show(const Word& word) {
  std::string text = "[";
  for (const WordPart& part : word.parts) {
    const bool quoted = part.quoting == Quoting::kQuoted;
    const std::string body = (part.kind == WordPart::Kind::kVariable ? "$" : "") + part.text;
    text += quoted ? "'" + body + "'" : body;
  }
  return text + "]";
}

std::string Show(const SimpleCommand& command) {
  std::string text;
  for (const Assignment& assignment : command.assignments) {
    text += assignment.name + "=" + Show(assignment.value) + " ";
  }
  for (const Word& word : command.words) text += Show(word) + " ";
  constexpr std::string_view kOps[] = {"<", ">", ">>", ">&"};
  for (const Redirection& redirection : command.redirections) {
    absl::StrAppendFormat(&text, "%d%s%s ", redirection.fd,
                          kOps[static_cast<size_t>(redirection.kind)], Show(redirection.target));
  }
  text.pop_back();
  return text;
}

std::string ShowParsed(std::string_view source) {
  const auto script = Parse(source);
  if (!script) return absl::StrFormat("line %d: %s", script.error().line, script.error().message);
  constexpr std::string_view kWhen[] = {"; ", "&& ", "|| "};
  std::string text;
  for (const Step& step : script->steps) {
    if (!text.empty() || step.when != Step::When::kAlways)
      text += " " + std::string(kWhen[static_cast<size_t>(step.when)]);
    if (step.pipeline.result == Pipeline::Result::kInverted) text += "! ";
    for (size_t i = 0; i < step.pipeline.commands.size(); ++i) {
      text += (i > 0 ? " | " : "") + Show(step.pipeline.commands[i]);
    }
  }
  return text;
}

bool IsIncomplete(std::string_view source) {
  const auto script = Parse(source);
  return !script && script.error().kind == SyntaxError::Kind::kIncomplete;
}

TEST(Syntax, NothingIsAScript) {
  for (std::string_view text : {"", " \t ", "\n\n", "# a comment", "  # one\n# two\n"}) {
    EXPECT_EQ(ShowParsed(text), "") << text;
  }
}

TEST(Syntax, BlanksSeparateWords) { EXPECT_EQ(ShowParsed("  ls \t -l   /  "), "[ls] [-l] [/]"); }

TEST(Syntax, QuotesJoinIntoOneWord) {
  EXPECT_EQ(ShowParsed(R"(a'b c'"d e"\ f)"), "[a'b cd e 'f]");
  EXPECT_EQ(ShowParsed(R"('' "")"), "[''] ['']");
  EXPECT_EQ(ShowParsed("'a\nb'"), "['a\nb']");
}

TEST(Syntax, SingleQuotesKeepEverything) {
  EXPECT_EQ(ShowParsed(R"('$x \n "q" # ;|')"), R"(['$x \n "q" # ;|'])");
}

TEST(Syntax, DoubleQuotesKnowDollarAndFourEscapes) {
  EXPECT_EQ(ShowParsed(R"("$x\$\"\\\`")"), R"(['''$x''$"\`'])");
  EXPECT_EQ(ShowParsed(R"("\n\a")"), R"(['\n\a'])");
}

TEST(Syntax, ABackslashAtTheEndOfALineJoinsTheNext) {
  EXPECT_EQ(ShowParsed("ec\\\nho a\\\n b"), "[echo] [a] [b]");
  EXPECT_EQ(ShowParsed("\"a\\\nb\""), "['ab']");
}

TEST(Syntax, VariablesHaveNamesBracesAndSpecialForms) {
  EXPECT_EQ(ShowParsed("$a${b}c$?$#$$$1"), "[$a$bc$?$#$$$1]");
  EXPECT_EQ(ShowParsed("$a_1-x"), "[$a_1-x]");
  EXPECT_EQ(ShowParsed("$ $. a$"), "[$] [$.] [a$]");
}

TEST(Syntax, CommentsBeginOnlyAtTheStartOfAWord) {
  EXPECT_EQ(ShowParsed("a#b #c"), "[a#b]");
  EXPECT_EQ(ShowParsed("a;#c\nb"), "[a] ; [b]");
}

TEST(Syntax, OperatorsNeedNoBlanks) {
  EXPECT_EQ(ShowParsed("a&&b||c;d|e"), "[a] && [b] || [c] ; [d] | [e]");
}

TEST(Syntax, NewlinesMayFollowOperators) {
  EXPECT_EQ(ShowParsed("a &&\n\nb |\n c ||\nd"), "[a] && [b] | [c] || [d]");
  EXPECT_EQ(ShowParsed("a;\n\nb\n\n\nc\n"), "[a] ; [b] ; [c]");
}

TEST(Syntax, ABangInvertsAPipeline) {
  EXPECT_EQ(ShowParsed("! a | b && ! ! c"), "! [a] | [b] && [c]");
  EXPECT_EQ(ShowParsed("a !"), "[a] [!]");
}

TEST(Syntax, RedirectionsStandAnywhereWithADescriptor) {
  EXPECT_EQ(ShowParsed("<in cmd 2>err a >>out b"), "[cmd] [a] [b] 0<[in] 2>[err] 1>>[out]");
  EXPECT_EQ(ShowParsed("cmd >out 2>&1"), "[cmd] 1>[out] 2>&[1]");
  EXPECT_EQ(ShowParsed("echo a2>x"), "[echo] [a2] 1>[x]");
  EXPECT_EQ(ShowParsed("> file"), "1>[file]");
}

TEST(Syntax, AssignmentsComeBeforeTheCommand) {
  EXPECT_EQ(ShowParsed("a=1 b='2 3' cmd c=4"), "a=[1] b=['2 3'] [cmd] [c=4]");
  EXPECT_EQ(ShowParsed("a="), "a=[]");
  EXPECT_EQ(ShowParsed("'a'=1 1a=2 =3"), "['a'=1] [1a=2] [=3]");
}

TEST(Syntax, AnErrorNamesTheToken) {
  EXPECT_EQ(ShowParsed("| a"), "line 1: syntax error near unexpected token `|'");
  EXPECT_EQ(ShowParsed("a || | b"), "line 1: syntax error near unexpected token `|'");
  EXPECT_EQ(ShowParsed("a\nb\n; c"), "line 3: syntax error near unexpected token `;'");
  EXPECT_EQ(ShowParsed("a && ; b"), "line 1: syntax error near unexpected token `;'");
  EXPECT_EQ(ShowParsed("a )"), "line 1: syntax error near unexpected token `)'");
  EXPECT_EQ(ShowParsed("a >\nb"), "line 1: syntax error near unexpected token `newline'");
  EXPECT_EQ(ShowParsed("a > ; b"), "line 1: syntax error near unexpected token `;'");
}

TEST(Syntax, WhatShHasAndThisLanguageHasNotSaysSo) {
  EXPECT_THAT(ShowParsed("a &"), HasSubstr("background jobs are not supported"));
  EXPECT_THAT(ShowParsed("(a)"), HasSubstr("subshells are not supported"));
  EXPECT_THAT(ShowParsed("a << E"), HasSubstr("here-documents are not supported"));
  EXPECT_THAT(ShowParsed("a $(b)"), HasSubstr("command substitution is not supported"));
  EXPECT_THAT(ShowParsed("a \"`b`\""), HasSubstr("command substitution is not supported"));
  EXPECT_EQ(ShowParsed("${a:-b}"), "line 1: ${a:-b}: bad substitution");
}

TEST(Syntax, WhatMoreLinesCouldCompleteIsIncomplete) {
  for (std::string_view text : {"'a", "\"a", "\"$x", "a &&", "a ||\n", "a |", "a \\", "${a", "!",
                                "a && \n#c\n", "a \\\n"}) {
    EXPECT_TRUE(IsIncomplete(text)) << text;
  }
  for (std::string_view text : {"a", "a )", "a >", "a ;", "#\\\nb"}) {
    EXPECT_FALSE(IsIncomplete(text)) << text;
  }
}

TEST(Syntax, APipelineHasALimit) {
  std::string text = "a";
  for (size_t i = 1; i < kMaxPipeline; ++i) text += "|a";
  EXPECT_TRUE(Parse(text).has_value());
  EXPECT_EQ(ShowParsed(text + "|a"), "line 1: a pipeline has at most 64 commands");
}

TEST(Syntax, ATextHasALimit) {
  EXPECT_EQ(ShowParsed(std::string(kMaxCommandBytes + 1, 'a')),
            "line 1: a command has at most 1048576 bytes");
}

TEST(Syntax, AnyBytesGiveAScriptOrAnError) {
  std::mt19937 random(1);
  using std::string_view_literals::operator""sv;
  constexpr std::string_view kAlphabet = "ab=$?{}'\"\\|&;<>#()!*[] \t\n0129~`\0\x80\xff"sv;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (auto n = random() % 24; n > 0; --n) text += kAlphabet[random() % kAlphabet.size()];
    const auto script = Parse(text);
    EXPECT_TRUE(script.has_value() || !script.error().message.empty()) << text;
  }
}

// --- patterns ---------------------------------------------------------------------------------

TEST(Pattern, StarAndQuestionMark) {
  EXPECT_TRUE(Matches("*", ""));
  EXPECT_TRUE(Matches("a*c", "abbc"));
  EXPECT_TRUE(Matches("*.cc", "a.b.cc"));
  EXPECT_TRUE(Matches("a?c", "abc"));
  EXPECT_FALSE(Matches("a?c", "ac"));
  EXPECT_FALSE(Matches("a*c", "ab"));
  EXPECT_FALSE(Matches("", "a"));
}

TEST(Pattern, SetsHaveRangesAndNegation) {
  EXPECT_TRUE(Matches("[abc]", "b"));
  EXPECT_TRUE(Matches("[a-cx-z]", "y"));
  EXPECT_FALSE(Matches("[a-c]", "d"));
  EXPECT_TRUE(Matches("[!a-c]", "d"));
  EXPECT_TRUE(Matches("[^a]", "b"));
  EXPECT_FALSE(Matches("[!a-c]", "b"));
  EXPECT_TRUE(Matches("[]]", "]"));
  EXPECT_TRUE(Matches("[a-]", "-"));
  EXPECT_TRUE(Matches("[\\]]", "]"));
}

TEST(Pattern, ABracketWithoutItsEndIsItself) {
  EXPECT_TRUE(Matches("[ab", "[ab"));
  EXPECT_FALSE(Matches("[ab", "a"));
}

TEST(Pattern, ABackslashTakesTheMeaningAway) {
  EXPECT_TRUE(Matches("\\*", "*"));
  EXPECT_FALSE(Matches("\\*", "a"));
  EXPECT_FALSE(HasWildcards("\\*\\?\\["));
  EXPECT_TRUE(HasWildcards("a*"));
}

TEST(Pattern, EscapedTextMatchesItselfAlone) {
  const std::string text = "a*b?[c-d]!\\e";
  EXPECT_TRUE(Matches(EscapePattern(text), text));
  EXPECT_FALSE(HasWildcards(EscapePattern(text)));
  EXPECT_EQ(UnescapePattern(EscapePattern(text)), text);
}

TEST(Pattern, CaseMayBeIgnored) {
  EXPECT_TRUE(Matches("ReadMe*", "README.md", Case::kIgnore));
  EXPECT_TRUE(Matches("[a-c]", "B", Case::kIgnore));
  EXPECT_FALSE(Matches("a", "A"));
}

TEST(Pattern, ManyStarsDoNotTakeForever) {
  std::string pattern, text(2000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "a*";
  EXPECT_FALSE(Matches(pattern + "b", text));
}

// --- options ----------------------------------------------------------------------------------

constexpr Option kTable[] = {
    {'a', "all", "everything"},      {'n', "number", "how many", "N"},
    {'x', "", "a letter only"},      {'\x02', "long-only", "a name only"},
    {'\x03', "almost", "another a"},
};

std::string ShowArguments(std::vector<std::string> argv, Permute permute = Permute::kAnywhere) {
  argv.insert(argv.begin(), "cmd");
  const auto arguments = ParseArguments(kTable, argv, permute);
  if (!arguments) return arguments.error();
  std::string text;
  for (const auto& given : arguments->options) {
    text += (given.id > ' ' ? std::string(1, given.id) : "#") +
            (given.value.empty() ? "" : "=" + given.value) + " ";
  }
  for (const auto& operand : arguments->operands) text += "[" + operand + "] ";
  if (!text.empty()) text.pop_back();
  return text;
}

TEST(Options, LettersCombineAndTakeArguments) {
  EXPECT_EQ(ShowArguments({"-ax", "f"}), "a x [f]");
  EXPECT_EQ(ShowArguments({"-an5", "-n", "6"}), "a n=5 n=6");
}

TEST(Options, NamesMayBeShortenedAndTakeArguments) {
  EXPECT_EQ(ShowArguments({"--all", "--number=5", "--num", "6", "--long"}), "a n=5 n=6 #");
}

TEST(Options, OperandsMixAndTwoDashesEndOptions) {
  EXPECT_EQ(ShowArguments({"f", "-a", "-", "--", "-x"}), "a [f] [-] [-x]");
  EXPECT_EQ(ShowArguments({"-a", "f", "-x"}, Permute::kOperandsLast), "a [f] [-x]");
}

TEST(Options, ErrorsAreWordedAsGetoptDoes) {
  EXPECT_EQ(ShowArguments({"-z"}), "invalid option -- 'z'");
  EXPECT_EQ(ShowArguments({"--zzz"}), "unrecognized option '--zzz'");
  EXPECT_EQ(ShowArguments({"-n"}), "option requires an argument -- 'n'");
  EXPECT_EQ(ShowArguments({"--number"}), "option '--number' requires an argument");
  EXPECT_EQ(ShowArguments({"--all=1"}), "option '--all' doesn't allow an argument");
  EXPECT_EQ(ShowArguments({"--al"}),
            "option '--al' is ambiguous; possibilities: '--all' '--almost'");
}

TEST(Options, TheLastOfSeveralCounts) {
  const std::vector<std::string> argv{"cmd", "-a", "-x", "-n1", "-n2"};
  const auto arguments = ParseArguments(kTable, argv);
  ASSERT_TRUE(arguments.has_value());
  EXPECT_EQ(arguments->LastOf("ax"), 'x');
  EXPECT_EQ(arguments->LastOf("z"), '\0');
  EXPECT_EQ(arguments->Value('n'), "2");
}

TEST(Options, HelpIsAlignedAndAlwaysThere) {
  const std::string help = DescribeOptions(kTable);
  EXPECT_THAT(help, HasSubstr("  -a, --all                   everything\n"));
  EXPECT_THAT(help, HasSubstr("  -n, --number=N              how many\n"));
  EXPECT_THAT(help, HasSubstr("      --help                  display this help and exit\n"));
}

// --- streams ----------------------------------------------------------------------------------

TEST(Streams, LinesAndBytesMayBeReadInTurn) {
  StringSource source("one\ntwo\nthree");
  char bytes[2];
  EXPECT_EQ(source.ReadLine().value(), "one\n");
  EXPECT_EQ(source.Read(bytes).value(), 2u);
  EXPECT_EQ(std::string_view(bytes, 2), "tw");
  EXPECT_EQ(source.ReadLine().value(), "o\n");
  EXPECT_EQ(source.ReadAll().value(), "three");
  EXPECT_EQ(source.ReadLine().value(), "");
}

TEST(Streams, AnEmptyLineIsNotTheEnd) {
  StringSource source("\n\na");
  EXPECT_EQ(source.ReadLine().value(), "\n");
  EXPECT_EQ(source.ReadLine().value(), "\n");
  EXPECT_EQ(source.ReadLine().value(), "a");
  EXPECT_EQ(source.ReadLine().value(), "");
}

TEST(Streams, APipeHoldsNoMoreThanItsCapacity) {
  const Interrupt interrupt{false};
  Pipe pipe(interrupt);
  std::atomic<bool> written{false};
  std::thread writer([&] {
    EXPECT_TRUE(pipe.Write(std::string(kPipeCapacity + 1, 'x')).has_value());
    written = true;
    pipe.CloseWriter();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(written);
  size_t total = 0;
  char bytes[4096];
  for (size_t n = 1; n > 0; total += n) n = pipe.Read(bytes).value();
  EXPECT_EQ(total, kPipeCapacity + 1);
  writer.join();
}

TEST(Streams, AWriterLearnsThatItsReaderIsGone) {
  const Interrupt interrupt{false};
  Pipe pipe(interrupt);
  std::thread reader([&] { pipe.CloseReader(); });
  base::Status status;
  while (status) status = pipe.Write(std::string(1024, 'x'));
  EXPECT_EQ(status.error(), base::Errno::kPipe);
  reader.join();
}

TEST(Streams, AnInterruptEndsAWaitForAPipe) {
  Interrupt interrupt{false};
  Pipe pipe(interrupt);
  std::thread user([&] { interrupt = true; });
  char bytes[1];
  EXPECT_EQ(pipe.Read(bytes).error(), base::Errno::kIntr);
  user.join();
}

TEST(Streams, AnOutputStopsAtTheFirstFailure) {
  struct Refusing final : Sink {
    base::Status Write(std::string_view) override { return base::Err(base::Errno::kNoSpc); }
  } sink;
  Output out(sink, Buffering::kFull);
  out.Put("a");
  EXPECT_FALSE(out.failed());
  out.Flush();
  EXPECT_EQ(out.status().error(), base::Errno::kNoSpc);
}

// --- the table --------------------------------------------------------------------------------

TEST(Commands, TheTableIsSortedAndComplete) {
  std::string_view before;
  for (const Command* command : Commands()) {
    EXPECT_LT(before, command->name);
    before = command->name;
    EXPECT_FALSE(command->summary.empty()) << command->name;
    EXPECT_NE(command->run, nullptr) << command->name;
    EXPECT_EQ(FindCommand(command->name), command);
  }
  EXPECT_EQ(FindCommand("nope"), nullptr);
  EXPECT_EQ(FindCommand(""), nullptr);
}

}  // namespace
}  // namespace dentree::shell
