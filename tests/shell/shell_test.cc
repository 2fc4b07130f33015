// The shell as a whole: lists, pipes, redirections, variables, patterns, exit statuses.
#include <chrono>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shell/complete.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- statuses and lists -----------------------------------------------------------------------

TEST_F(ShellTest, TheStatusIsThatOfTheLastCommand) {
  EXPECT_EQ(Run("true"), Ok());
  EXPECT_EQ(Run("false"), Fails(1, ""));
  EXPECT_EQ(Run("false; true"), Ok());
  EXPECT_EQ(Run(""), Ok());
  EXPECT_EQ(Run("# nothing\n\n"), Ok());
}

TEST_F(ShellTest, AnUnknownCommandIs127) {
  EXPECT_EQ(Run("nope -x"), Fails(127, "dentree: nope: command not found\n"));
  EXPECT_EQ(Run("./nope"), Fails(127, "dentree: ./nope: No such file or directory\n"));
  EXPECT_EQ(Run("''"), Fails(127, "dentree: : command not found\n"));
}

TEST_F(ShellTest, WhatCannotBeRunIs126) {
  EXPECT_EQ(Run("/"), Fails(126, "dentree: /: Is a directory\n"));
  EXPECT_EQ(Run("echo true > /f; /f"), Fails(126, "dentree: /f: Permission denied\n"));
}

TEST_F(ShellTest, ASyntaxErrorIsTwoAndEndsAScript) {
  EXPECT_EQ(Run("echo a\n| b\necho c"),
            Fails(2, "dentree: syntax error near unexpected token `|'\n", "a\n"));
  EXPECT_EQ(Run("echo 'a"), Fails(2, "dentree: unexpected EOF while looking for matching `''\n"));
  EXPECT_EQ(Run("echo a &&"), Fails(2, "dentree: syntax error: unexpected end of file\n"));
}

TEST_F(ShellTest, AndAndOrLookAtTheStatusBefore) {
  EXPECT_EQ(Run("true && echo a || echo b; false && echo c || echo d"), Ok("a\nd\n"));
  EXPECT_EQ(Run("! false && echo a; ! true || echo b"), Ok("a\nb\n"));
}

TEST_F(ShellTest, ExitEndsTheShell) {
  EXPECT_EQ(Run("exit 3; echo no"), Fails(3, ""));
  EXPECT_EQ(Run("false; exit"), Fails(1, ""));
  EXPECT_EQ(Run("exit x"), Fails(2, "exit: x: numeric argument required\n"));
  EXPECT_EQ(Run("exit 257"), Fails(1, ""));
}

TEST_F(ShellTest, SetEExitsAtAFailureThatNobodyLooksAt) {
  EXPECT_EQ(Run("set -e; false || true; ! true; false && true; echo a; false; echo b"),
            Fails(1, "", "a\n"));
  EXPECT_EQ(Run("set -e; set +e; false; echo b"), Ok("b\n"));
}

// --- variables --------------------------------------------------------------------------------

TEST_F(ShellTest, VariablesAreSetAndUsed) {
  EXPECT_EQ(Run("a=1; b=$a$a; echo $b ${b}x \"$b\" '$b' $none."), Ok("11 11x 11 $b .\n"));
  EXPECT_EQ(Run("a='x  y'; echo $a; echo \"$a\"; b=$a; echo \"$b\""), Ok("x y\nx  y\nx  y\n"));
  EXPECT_EQ(Run("a=1; unset a; echo [$a]"), Ok("[]\n"));
}

TEST_F(ShellTest, TheStatusIsAVariable) {
  EXPECT_EQ(Run("false; echo $?; echo $?; nope 2>/e; echo ${?}"), Ok("1\n0\n127\n"));
}

TEST_F(ShellTest, AnAssignmentBeforeACommandIsForThatCommand) {
  EXPECT_EQ(Run("mkdir /h; HOME=/h cd; pwd; echo $HOME"), Ok("/h\n/\n"));
}

TEST_F(ShellTest, AnUnquotedEmptyValueIsNoWord) {
  EXPECT_EQ(Run("e=; test $e; echo $?; test \"$e\" = ''; echo $?"), Ok("1\n0\n"));
  EXPECT_EQ(Run("c=echo; $c a; c='echo  b   c'; $c"), Ok("a\nb c\n"));
}

TEST_F(ShellTest, TildeIsHome) {
  EXPECT_EQ(Run("echo ~ ~/a a~ '~'; HOME=/h; echo ~ ~/a; b=~/c; echo $b"),
            Ok("/ /a a~ ~\n/h /h/a\n/h/c\n"));
}

// --- patterns ---------------------------------------------------------------------------------

TEST_F(ShellTest, PatternsBecomeSortedPaths) {
  ASSERT_EQ(Run("mkdir -p /d/sub; touch /d/b /d/a /d/.hidden /d/sub/x").status, 0);
  EXPECT_EQ(Run("cd /d; echo *; echo [ab]; echo s*/*; echo .h*; echo */"),
            Ok("a b sub\na b\nsub/x\n.hidden\nsub/\n"));
  EXPECT_EQ(Run("echo /d/? /*/sub/[!y]"), Ok("/d/a /d/b /d/sub/x\n"));
}

TEST_F(ShellTest, APatternWithoutMatchStaysAsItIs) {
  EXPECT_EQ(Run("echo *; echo /nope/* [x"), Ok("*\n/nope/* [x\n"));
}

TEST_F(ShellTest, AQuotedPatternIsText) {
  ASSERT_EQ(Run("touch /a '/*'").status, 0);
  EXPECT_EQ(Run("cd /; echo '*' \"*\" \\*; echo \\**; p='*'; echo $p \"$p\""),
            Ok("* * *\n*\n* a *\n"));
}

// --- redirections -----------------------------------------------------------------------------

TEST_F(ShellTest, OutputIsWrittenAndAppended) {
  EXPECT_EQ(Run("echo a > /f; echo b >> /f; cat < /f; echo c >/f; cat /f"), Ok("a\nb\nc\n"));
  EXPECT_EQ(Run(">/empty; stat -c %s /empty"), Ok("0\n"));
}

TEST_F(ShellTest, ErrorsAreRedirectedInTheOrderWritten) {
  EXPECT_EQ(Run("cat /nope 2> /e; cat /e"), Ok("cat: /nope: No such file or directory\n"));
  EXPECT_EQ(Run("cat /nope > /o 2>&1; cat /o"), Ok("cat: /nope: No such file or directory\n"));
  EXPECT_EQ(Run("cat /nope 2>&1 > /o; cat /o"), Ok("cat: /nope: No such file or directory\n"));
}

TEST_F(ShellTest, ARedirectionThatFailsKeepsTheCommandFromRunning) {
  EXPECT_EQ(Run("echo a > /nope/f; echo $?"),
            Fails(0, "dentree: /nope/f: No such file or directory\n", "1\n"));
  EXPECT_EQ(Run("cat < /nope"), Fails(1, "dentree: /nope: No such file or directory\n"));
  EXPECT_EQ(Run("echo a > /"), Fails(1, "dentree: /: Is a directory\n"));
  EXPECT_EQ(Run("echo a > $none"), Fails(1, "dentree: : ambiguous redirect\n"));
  EXPECT_EQ(Run("echo a 7> /f"), Fails(1, "dentree: 7: Bad file descriptor\n"));
}

TEST_F(ShellTest, TheUmaskHoldsForNewFiles) {
  EXPECT_EQ(Run("umask 077; echo > /f; stat -c %a /f"), Ok("600\n"));
}

// --- pipes ------------------------------------------------------------------------------------

TEST_F(ShellTest, APipelineHasTheStatusOfItsLastCommand) {
  EXPECT_EQ(Run("echo a | cat"), Ok("a\n"));
  EXPECT_EQ(Run("false | true"), Ok());
  EXPECT_EQ(Run("true | false"), Fails(1, ""));
  EXPECT_EQ(Run("! true | false"), Ok());
}

TEST_F(ShellTest, MoreThanAPipeHoldsGoesThrough) {
  ASSERT_OK(task().WriteFile("/big", std::string(1 << 20, 'x') + "\n"));
  EXPECT_EQ(Run("cat /big | cat | cat | wc -c"), Ok("1048577\n"));
}

TEST_F(ShellTest, AWriterEndsWhenItsReaderHasEnough) {
  ASSERT_OK(task().WriteFile("/big", std::string(1 << 20, '\n')));
  EXPECT_EQ(Run("cat /big /big /big | head -n 1"), Ok("\n"));
  EXPECT_EQ(Run("cat /big | true"), Ok());
}

TEST_F(ShellTest, CommandsOfAPipelineRunInSubshells) {
  ASSERT_EQ(Run("mkdir /d").status, 0);
  EXPECT_EQ(Run("cd /d | cat; pwd; true | cd /d; pwd"), Ok("/\n/\n"));
  EXPECT_EQ(Run("a=1 | true; echo [$a]; true | exit 5; echo $?"), Ok("[]\n5\n"));
}

TEST_F(ShellTest, CommandsShareTheStandardInput) {
  EXPECT_EQ(Run("head -n 1 > /a; cat > /b; cat /a /b", "").status, 0);
  EXPECT_EQ(Run("cat", "one\ntwo\n"), Ok("one\ntwo\n"));
}

// --- scripts ----------------------------------------------------------------------------------

TEST_F(ShellTest, AFileIsAScript) {
  ASSERT_OK(task().WriteFile("/s", "echo $0 $1 $#\ncd /\na=2\nnope\n", O_CREAT, 0755));
  EXPECT_EQ(Run("/s x y; echo [$a]"),
            Fails(0, "/s: line 4: nope: command not found\n", "/s x 2\n[]\n"));
  EXPECT_EQ(Run(". /s; echo [$a]"),
            Fails(0, "/s: line 4: nope: command not found\n", "dentree 0\n[2]\n"));
}

TEST_F(ShellTest, ASyntaxErrorInAScriptNamesItsLine) {
  ASSERT_OK(task().WriteFile("/s", "echo a\n\necho b; )\n"));
  EXPECT_EQ(Run(". /s"), Fails(2, "/s: line 3: syntax error near unexpected token `)'\n", "a\n"));
}

TEST_F(ShellTest, AScriptThatReadsItselfIsStopped) {
  ASSERT_OK(task().WriteFile("/s", ". /s\n"));
  const Outcome outcome = Run(". /s");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("scripts are nested more than 16 deep"));
}

TEST_F(ShellTest, AWriteThatFailsIsReported) {
  Outcome outcome;
  {
    ASSERT_EQ(Run("mkdir /small; mount -t ramfs -o size=4k none /small").status, 0);
    ASSERT_OK(task().WriteFile("/big", std::string(100000, 'x')));
    outcome = Run("cat /big > /small/f");
  }
  EXPECT_EQ(outcome, Fails(1, "cat: write error: No space left on device\n"));
  EXPECT_EQ(Run("umount /small"), Ok());
}

TEST_F(ShellTest, AnInterruptEndsWhatRuns) {
  auto out = std::make_shared<StringSink>();
  Shell shell(TaskOf(vfs::Creds::Root()),
              Streams{.in = std::make_shared<StringSource>(""), .out = out, .err = out});
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    shell.interrupt() = true;
  });
  EXPECT_EQ(shell.RunText("sleep 100; echo no"), 130);
  user.join();
  EXPECT_EQ(out->text(), "");
}

// --- completion -------------------------------------------------------------------------------

class CompletionTest : public ShellTest {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(Run("mkdir -p /etc/conf.d '/a dir'; touch /etc/config /etc/.hidden; ln -s /etc /link")
                  .status,
              0);
  }
  std::vector<std::string> Candidates(std::string_view line) {
    return Complete(ring_task(), line).candidates;
  }
};

TEST_F(CompletionTest, TheFirstWordIsACommand) {
  EXPECT_THAT(Candidates("mkd"), ElementsAre("mkdir "));
  EXPECT_THAT(Candidates("ls | unm"), IsEmpty());
  EXPECT_THAT(Candidates("ls; umo"), ElementsAre("umount "));
  EXPECT_THAT(Candidates("a=1 unse"), ElementsAre("unset "));
}

TEST_F(CompletionTest, OtherWordsArePaths) {
  EXPECT_THAT(Candidates("ls /etc/c"), ElementsAre("/etc/conf.d/", "/etc/config "));
  EXPECT_THAT(Candidates("cat /etc/.h"), ElementsAre("/etc/.hidden "));
  EXPECT_THAT(Candidates("cat < /etc/conf.d"), ElementsAre("/etc/conf.d/"));
  EXPECT_THAT(Candidates("ls l"), ElementsAre("link/"));
  EXPECT_THAT(Candidates("ls /nope/"), IsEmpty());
}

TEST_F(CompletionTest, BlanksAreTypedWithABackslash) {
  EXPECT_THAT(Candidates("ls a"), ElementsAre("a\\ dir/"));
  EXPECT_THAT(Candidates("ls a\\ "), ElementsAre("a\\ dir/"));
  EXPECT_THAT(Candidates("ls 'a d"), ElementsAre("a\\ dir/"));
}

TEST_F(CompletionTest, AfterADashAreOptions) {
  EXPECT_THAT(Candidates("mkdir --p"), ElementsAre("--parents "));
  EXPECT_THAT(Candidates("mkdir --m"), ElementsAre("--mode="));
  EXPECT_THAT(Candidates("mkdir --h"), ElementsAre("--help "));
}

TEST_F(CompletionTest, TheWordBeginsAfterWhatSeparatesIt) {
  EXPECT_EQ(Complete(ring_task(), "ls /e").word_begin, 3u);
  EXPECT_EQ(Complete(ring_task(), "a|b").word_begin, 2u);
  EXPECT_EQ(CommonPrefix({"abc", "abd", "ab"}), "ab");
  EXPECT_EQ(CommonPrefix({}), "");
}

}  // namespace
}  // namespace dentree::shell
