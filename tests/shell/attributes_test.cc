// getfattr, setfattr, lsattr, chattr, fallocate, truncate, mknod, mkfifo.

#include "gtest/gtest.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

class AttributeTest : public ShellTest {};

TEST_F(AttributeTest, GetfattrShowsWhatSetfattrSets) {
  ASSERT_EQ(
      Run("cd /; echo -n > f; setfattr -n user.a -v hello f; setfattr -n user.b -v 0x00ff41 f;"
          "setfattr -n trusted.t f"),
      Ok());
  EXPECT_EQ(Run("cd /; getfattr f"), Ok("# file: f\nuser.a\nuser.b\n\n"));
  EXPECT_EQ(Run("getfattr -d -m - /f"),
            Ok("# file: f\ntrusted.t=\"\"\nuser.a=\"hello\"\nuser.b=0sAP9B\n\n"));
  EXPECT_EQ(Run("getfattr --absolute-names -e hex -n user.a /f"),
            Ok("# file: /f\nuser.a=0x68656c6c6f\n\n"));
  EXPECT_EQ(Run("getfattr --only-values -n user.a /f"), Ok("hello"));
  EXPECT_EQ(Run("setfattr -x user.a /f; getfattr -n user.a /f"),
            Fails(1, "getfattr: /f: user.a: No such attribute\n"));
}

TEST_F(AttributeTest, SetfattrReadsTextHexadecimalAndBase64) {
  ASSERT_EQ(Run("echo -n > /f"), Ok());
  for (const char* value : {"abc", "0x616263", "0sYWJj", "'\"a\\142c\"'"}) {
    EXPECT_EQ(Run("setfattr -n user.v -v " + std::string(value) +
                  " /f; getfattr --only-values -n user.v /f"),
              Ok("abc"))
        << value;
  }
  EXPECT_EQ(Run("setfattr -n user.v -v 0xzz /f"), Fails(1, "setfattr: bad input encoding\n"));
  EXPECT_EQ(Run("setfattr -n foo /f"), Fails(1, "setfattr: /f: Operation not supported\n"));
}

TEST_F(AttributeTest, ChattrChangesWhatLsattrLists) {
  ASSERT_EQ(Run("mkdir /d; echo -n > /d/f; chattr +ad /d/f"), Ok());
  EXPECT_EQ(Run("lsattr /d"), Ok("-----ad--------------- /d/f\n"));
  EXPECT_EQ(Run("rm /d/f"), Fails(1, "rm: cannot remove '/d/f': Operation not permitted\n"));
  EXPECT_EQ(Run("chattr +c /d/f"),
            Fails(1, "chattr: Operation not supported while setting flags on /d/f\n"));
  EXPECT_EQ(Run("chattr = /d/f; lsattr /d/f; lsattr -d /d"),
            Ok("---------------------- /d/f\n---------------------- /d\n"));
}

TEST_F(AttributeTest, FallocateGivesAndTakesSpace) {
  EXPECT_EQ(Run("fallocate -l 10K /f; stat -c '%s %b' /f; fallocate -p -o 4K -l 4K /f;"
                "stat -c '%s %b' /f; fallocate -n -o 1M -l 1 /f; stat -c '%s %b' /f"),
            Ok("10240 24\n10240 16\n10240 24\n"));
  EXPECT_EQ(Run("fallocate /f"), Fails(1, "fallocate: no length argument specified\n"));
  EXPECT_EQ(Run("fallocate -l 0 /f"), Fails(1, "fallocate: invalid length value specified\n"));
}

TEST_F(AttributeTest, TruncateSetsAndAdjustsSizes) {
  EXPECT_EQ(Run("cd /; truncate -s 1K f; truncate -s +5 f; stat -c %s f; truncate -s %1K f;"
                "stat -c %s f; truncate -s '<10' f; stat -c %s f; truncate -s 1KB g;"
                "truncate -r g f; stat -c %s f; truncate -s /300 f; stat -c %s f;"
                "truncate -c -s 5 none"),
            Ok("1029\n2048\n10\n1000\n900\n"));
  EXPECT_EQ(Run("truncate -s x /f"), Fails(1, "truncate: Invalid number: 'x'\n"));
}

TEST_F(AttributeTest, MknodMakesWhatItsTypeSays) {
  EXPECT_EQ(Run("cd /; mknod -m 600 c c 1 3; mknod b b 0x8 010; mknod p p; mkfifo q;"
                "stat -c '%A %Hr %Lr' c b p q"),
            Ok("crw------- 1 3\nbrw-r--r-- 8 8\nprw-r--r-- 0 0\nprw-r--r-- 0 0\n"));
  EXPECT_EQ(Run("mknod /p p"), Fails(1, "mknod: /p: File exists\n"));
  EXPECT_EQ(Run("mknod /x c x 3"), Fails(1, "mknod: invalid major device number 'x'\n"));
  EXPECT_EQ(Run("mkfifo /p"), Fails(1, "mkfifo: cannot create fifo '/p': File exists\n"));
}

}  // namespace
}  // namespace dentree::shell
