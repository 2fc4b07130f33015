// The commands beside the machine's own: each script is run by bash with the machine's programs in
// an empty directory, and by the shell here; output, messages and status must be the same.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

std::string ReadHostFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Lines of the shells themselves ("bash: line 1: ...") are not the programs'.
std::string WithoutShellLines(const std::string& text) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("bash:") && !line.starts_with("dentree:")) kept += line + "\n";
  }
  return kept;
}

Outcome RunOnHost(const std::string& script) {
  std::string dir = std::filesystem::temp_directory_path() / "dentree-gnu-XXXXXX";
  if (::mkdtemp(dir.data()) == nullptr) return {-1, "", "no directory"};
  const std::filesystem::path base(dir);
  std::filesystem::create_directory(base / "work");
  std::ofstream(base / "script") << "cd '" << dir << "/work' || exit 99\numask 022\n"
                                 << script << "\n";
  const std::string command =
      "env -i PATH=/usr/bin:/bin LC_ALL=C TZ=UTC HOME=/ bash --norc --noprofile '" + dir +
      "/script' > '" + dir + "/out' 2> '" + dir + "/err' < /dev/null";
  const int status = std::system(command.c_str());
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadHostFile(base / "out"),
                  ReadHostFile(base / "err")};
  std::filesystem::remove_all(base);
  // What bash itself says begins with the script's name.
  for (size_t at; (at = outcome.err.find(dir + "/script:")) != std::string::npos;) {
    outcome.err.replace(at, dir.size() + 8, "bash:");
  }
  return outcome;
}

class GnuTest : public ShellTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    ShellTest::SetUp();
    if (IsSkipped()) return;
    if (::access("/usr/bin/stat", X_OK) != 0 && ::access("/bin/bash", X_OK) != 0) {
      GTEST_SKIP() << "no programs to compare with";
    }
    ::setenv("TZ", "UTC", 1);
  }
};

TEST_P(GnuTest, AnswersAsTheMachineDoes) {
  const std::string script = GetParam();
  const Outcome wanted = RunOnHost(script);
  ASSERT_OK(task().Mkdir("/work", 0777));
  ASSERT_OK(task().Mkdir("/dev", 0777));
  ASSERT_OK(task().WriteFile("/dev/null", ""));  // scripts write there, none reads it
  ASSERT_OK(task().Chmod("/dev/null", 0666));
  ASSERT_OK(task().Chown("/work", ::getuid(), ::getgid()));
  const vfs::Creds creds =
      ::getuid() == 0 ? vfs::Creds::Root() : vfs::Creds::User(::getuid(), ::getgid());
  Outcome got = RunAs(creds, "cd /work\numask 022\n" + script);
  EXPECT_EQ(got.out, wanted.out) << script;
  EXPECT_EQ(got.status, wanted.status) << script;
  EXPECT_EQ(WithoutShellLines(got.err), WithoutShellLines(wanted.err)) << script;
}

constexpr const char* kLs[] = {
    R"sh(touch b a .h; mkdir d; ls)sh",
    R"sh(touch b a .h; mkdir d; ls -a; ls -A; ls -r; ls -1)sh",
    R"sh(mkdir d e; touch d/x e/y f; ls d e f; ls f)sh",
    R"sh(mkdir -p d/s/t; touch d/a d/s/b; ls -R; ls -R d)sh",
    R"sh(mkdir d; ls d; ls -d d .; ls -a d)sh",
    R"sh(ls nope; echo $?; touch f; ls nope f; echo $?; ls nope1 nope2)sh",
    R"sh(touch f; ls f/x; ls '')sh",
    R"sh(mkdir d; touch f x; chmod 755 x; ln -s f l; ln -s d ld; ln -s nope dang; ls -F)sh",
    R"sh(mkdir d; touch d/f; ln -s d l; ls l; ls l/; ls -d l; ln -s nope dang; ls dang)sh",
    R"sh(touch -d '2020-02-03 04:05:06' f; chmod 640 f; ls -n f)sh",
    R"sh(touch -d 2020-01-01 a; touch -d 2021-01-01 b; touch -d 2019-01-01 c; ls -t; ls -tr)sh",
    R"sh(printf 12345 > a; printf 1 > b; printf 123 > c; ls -S; ls -Sr)sh",
    R"sh(touch a b c d e f; ls -C; ls -C1)sh",
    R"sh(touch abc abcdefghijklmnop x y z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22;
ls -C)sh",
    R"sh(ls --zzz; echo $?; ls -9; echo $?; ls --al)sh",
    R"sh(touch f; ls -l f nope 2>&1 >/dev/null | grep -c cannot)sh",
};

constexpr const char* kMkdir[] = {
    R"sh(mkdir a; mkdir a; mkdir a/b/c; mkdir)sh",
    R"sh(mkdir -p a/b/c; mkdir -p a/b/c; ls -R; mkdir -pv a/x/y a/z)sh",
    R"sh(touch f; mkdir f; mkdir -p f; mkdir -p f/x; mkdir -p f/x/y; mkdir f/x)sh",
    R"sh(mkdir -m 700 a; mkdir -m u=rwx,go= b; mkdir -m 1777 c; mkdir -p -m 750 d/e;
stat -c '%a %n' a b c d d/e)sh",
    R"sh(mkdir -m zzz a; mkdir -m 99999 a; ls)sh",
    R"sh(mkdir -v a b; mkdir -q; mkdir ''; mkdir -p ./x//y/ ; ls x)sh",
    R"sh(umask 077; mkdir a; mkdir -p b/c; stat -c '%a %n' a b b/c)sh",
    R"sh(mkdir a; rmdir a; rmdir a; mkdir -p b/c; rmdir b; rmdir -p b/c; ls; rmdir)sh",
    R"sh(mkdir -p a/b; touch a/f; rmdir -p a/b; rmdir -v a; touch g; rmdir g)sh",
    R"sh(mkdir -p a/b; touch a/f; rmdir --ignore-fail-on-non-empty a; echo $?;
rmdir -pv --ignore-fail-on-non-empty a/b; ls)sh",
};

constexpr const char* kRm[] = {
    R"sh(touch f; rm f; ls; rm f; rm -f f; rm; rm -f; echo $?)sh",
    R"sh(mkdir d; rm d; rm -f d; rm -d d; ls; mkdir -p d/e; rm -d d; rm -r d; ls)sh",
    R"sh(mkdir -p d/e; touch d/e/f d/g; ln -s d l; rm -r l; ls; rm -rf d nope; ls; echo $?)sh",
    R"sh(mkdir d; touch d/f f; rm -v f; rm -rv d)sh",
    R"sh(touch f; rm f/x; rm -f f/x; echo $?; rm -r . ; rm -rf ..; echo $?)sh",
    R"sh(touch a b; rm a nope b; ls)sh",
};

constexpr const char* kLn[] = {
    R"sh(echo x > a; ln a b; stat -c %h b; ln a b; ln -f a b; echo $?; ln nope c; mkdir d;
ln d e)sh",
    R"sh(ln -s nope l; stat -c %N l; ln -s x l; ln -sf y l; stat -c %N l)sh",
    R"sh(mkdir d; touch a b; ln a b d; ls d; ln -s ../a d/s; cat d/s; ln a b nope; ln a b a)sh",
    R"sh(ln; mkdir d; touch d/x; ln -s d/x; stat -c %N x; ln -v d/x y; ln -sv d/x z)sh",
    R"sh(mkdir d e; ln -s d l; ln -s e l; ls d; ln -sfn e l; stat -c %N l; ln -sT x d)sh",
    R"sh(touch a; ln a nope/b; ln -s a nope/b)sh",
};

constexpr const char* kCpMv[] = {
    R"sh(echo a > a; cp a b; cat b; cp a; cp; cp nope x; mkdir d; cp a b d; ls d; cp d e;
cp a b nope)sh",
    R"sh(mkdir -p d/e; echo x > d/e/f; ln -s f d/e/l; cp -r d c; ls -R c; stat -c %N c/e/l;
cp -r d c; ls c)sh",
    R"sh(echo a > a; cp a a; cp -v a b; mkdir d; cp -rv d d2; cp a d/; cp d a; cp -r d a;
mkdir x; mkdir x/a; cp a x)sh",
    R"sh(mkdir d; touch d/f; cp -r d d/sub 2>&1 | head -n 1; ls d)sh",
    R"sh(echo 1 > a; echo 2 > b; cp -n a b; cat b; chmod 640 a; touch -d 2020-02-02 a; cp -p a c;
stat -c '%a %Y' c; cp a d; stat -c %a d)sh",
    R"sh(echo 1 > a; ln -s a l; cp l m; stat -c %F m; cp -d l n; stat -c %F n; cp -r l o;
stat -c %F o; cp a l; stat -c %F l)sh",
    R"sh(echo 1 > a; ln -s nope l; cp -r l m; stat -c %N m; mkdir d; cp -rT d e; ls -d e;
cp -T a d)sh",
    R"sh(echo a > a; mv a b; ls; mv b; mv; mv nope x; mkdir d; mv b d; ls d; mv -v d/b .; ls)sh",
    R"sh(mkdir d e; touch e/f; mv d e; ls e; mkdir d; touch d/x; mkdir -p t/d/full; mv d t;
mv d d/sub; echo $?)sh",
    R"sh(touch a; mkdir d; mv -T a d; mv -T d a; mv a a; ln a b; mv a b; ls; mv -n a d; ls d)sh",
    R"sh(echo 1 > a; echo 2 > b; mv -n a b; cat a b; mv -f a b; cat b; ls; mkdir d; touch x y;
mv x y d; ls d; mv d/x d/y nope)sh",
    R"sh(touch a; mv a nope/b; mv a a/b; mkdir d; mv d a)sh",
};

// A few more of what GNU says when a destination cannot be looked at.
constexpr const char* kDestinations[] = {
    R"sh(touch a b; cp a b/c; cp a b/; mv a b/; cp -r a b/c; ln a b/c; touch b/c; mkdir b/c)sh",
    R"sh(cp a; mv a; cp -T a b c; mv a b c; mkdir d; cp nope d; mv nope d; cp d d; mv d d)sh",
};

constexpr const char* kText[] = {
    R"sh(printf 'a\nb\n\nc' > f; cat f; cat -n f f; cat nope f; cat .; cat -z;
printf 'x\n' | cat - f)sh",
    R"sh(printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12' > f; head f; head -n 2 f; head -3 f;
head -n -10 f; head -c 3 f; head -c -20 f; head -n 0 f)sh",
    R"sh(printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12' > f; tail f; tail -n 2 f; tail -3 f;
tail -n +11 f; tail -c 3 f; tail -c +20 f; tail -n 0 f; tail -n +0 f | head -1)sh",
    R"sh(printf 'a\n' > a; printf 'b\n' > b; head a b; tail a b; head -q a b; head -v a;
cat a | head -v -)sh",
    R"sh(head nope; tail nope; head -n x f; head -c; tail -n 1x f; touch e; head e; tail e;
echo $?)sh",
    R"sh(printf 'one two\n three' > f; wc f; wc -l f; wc -w f; wc -c f; wc -lw f; wc < f;
wc -c < f; wc f f; cat f | wc -; wc nope; wc -l nope f)sh",
    R"sh(touch e; wc e; wc -lc e e; printf 'x' | wc -w; wc -l < e)sh",
};

constexpr const char* kPrint[] = {
    R"sh(echo a b  c; echo; echo -n x; echo -e 'a\tb\n\x41\0101\\'; echo -E 'a\n'; echo -x;
echo -ne 'a\cb'; echo - --)sh",
    R"sh(printf '%s-%d|%5s|%-5s|%05d|%x|%o|%c\n' a 12 b c 7 255 8 xyz; printf '%s\n' 1 2 3;
printf 'a%%b\n'; printf '\101\n'; printf '%b' 'x\ty\n'; printf 'no args %s.\n')sh",
    R"sh(printf '%.2s|%3d|%-3d|%u\n' abcdef 5 5 7; printf 'x\n' ignored)sh",
};

constexpr const char* kAttr[] = {
    R"sh(touch f; chmod 600 f; stat -c %a f; chmod u+x,g=rw,o-rwx f; stat -c %a f; chmod a+r f;
stat -c %a f; chmod +w f; stat -c %a f; chmod -x f; stat -c %a f; chmod g=u f; stat -c %a f)sh",
    R"sh(mkdir d; chmod 2755 d; chmod u=rwx d; stat -c %a d; chmod +t d; stat -c '%a %A' d;
chmod 4711 d; stat -c %A d; chmod a=,u+X d; stat -c %a d; chmod 755 d)sh",
    R"sh(chmod; chmod 755; chmod zzz f; chmod 755 nope; touch f; chmod -v 600 f; chmod -v 600 f;
chmod 88 f; chmod u+q f)sh",
    R"sh(mkdir -p d/e; touch d/e/f; chmod -R u=rwX,go= d; stat -c %a d d/e d/e/f;
chmod -R a+rX d; stat -c %a d d/e d/e/f)sh",
    R"sh(touch f; chown; chown $USERX f; chown 0:x f; chown nobodyatall f; chown 1 nope)sh",
    R"sh(touch -d '2020-01-02 03:04:05' f; stat -c '%y %Y' f; touch -t 202102030405.06 f;
stat -c %y f; touch -a -d 2000-01-01 f; stat -c '%x %y' f; touch -r f g; stat -c %y g;
touch -d @86400 f; stat -c %y f)sh",
    R"sh(touch; touch -c nope; ls; touch nope/x; mkdir d; touch d; echo $?;
touch -d garbage f 2>&1 | grep -c invalid; touch -t 99 f 2>&1 | grep -c invalid)sh",
    R"sh(touch -d 2020-01-01 f; chmod 4755 f; ls -n f; chmod 2654 f; ls -n f; chmod 1777 f;
ls -n f; chmod 7000 f; ls -n f)sh",
    R"sh(umask; umask 027; umask; umask -S; touch f; stat -c %a f; umask u=rwx,g=rx,o=; umask)sh",
};

constexpr const char* kStat[] = {
    R"sh(touch -d '2020-01-02 03:04:05' f; printf 12345 > g; stat -c '%n %s %F %h %a %A %f' f g;
stat -c %F . ; ln -s f l; stat -c '%N %F %s' l; stat -L -c %F l)sh",
    R"sh(stat; stat nope; stat -c %n nope .; mkdir d; stat -c '%-5s|' f 2>/dev/null;
stat -c '%5h|%-5h|%%' d; stat --printf '%n\n' d; stat --format=%n d)sh",
    R"sh(touch f; chmod 644 f; stat f | head -n 1;
stat f | grep -c '^Access: (0644/-rw-r--r--)  Uid: (')sh",
};

constexpr const char* kFind[] = {
    R"sh(mkdir -p a/b; touch a/f a/b/g; find a -name g; find a -type d -name b;
find a -maxdepth 0; find a -mindepth 2; find nope; echo $?)sh",
    R"sh(mkdir -p a/b; touch a/f; find a -name 'f'; find a -path '*/b'; find a ! -type d;
find a -type f -o -name b; find a -empty -type d; find a/ -name f)sh",
    R"sh(mkdir d; touch d/x; find d -delete; ls; mkdir -p e/f; find e -depth; find e -iname 'F';
find e -name f -prune -o -print)sh",
    R"sh(find . -zzz; find . -name; find . -type z; find . -maxdepth x; touch f;
find . -name f x; find f f; find . '(' -name f ')')sh",
    R"sh(touch f; find f -print -print; find f -print0; echo; find . -type f,d -name f;
find f -links 1)sh",
};

constexpr const char* kGrep[] = {
    R"sh(printf 'foo\nbar\nFoo bar\n' > f; grep foo f; grep -i foo f; grep -v foo f;
grep -c foo f; grep -n bar f; grep nope f; echo $?; grep -q foo f; echo $?)sh",
    R"sh(printf 'foo\nbar\n' > f; printf 'foo\n' > g; grep foo f g; grep -h foo f g;
grep -l foo f g; grep -L bar f g; grep -c foo f g; grep -H foo f; grep foo nope; echo $?;
grep -s foo nope g; echo $?)sh",
    R"sh(mkdir -p d/e; echo foo > d/e/f; grep -r foo d; cd d; grep -r foo; grep foo e;
grep -rn foo .; grep -rl foo .; grep -rc foo .)sh",
    R"sh(printf 'a.c\nabc\na+c\n' > f; grep a.c f; grep -F a.c f; grep 'a+c' f; grep -E 'a+b' f;
grep -E '(a|x).c' f; grep 'a\|x' f; grep -x abc f; grep -E '^a.*c$' f)sh",
    R"sh(printf 'foo foobar\nfoobar\nx_foo\n' > f; grep -w foo f; grep -o 'o*' f; grep -on foo f;
grep -e foo -e x f | wc -l; grep -m 1 foo f; echo foo | grep foo -; echo foo | grep -c foo;
echo foo | grep -H foo)sh",
    R"sh(printf 'a\nb\n' > f; grep '' f; grep -v '' f; echo $?; grep '[' f; echo $?; grep;
echo $?; printf 'a\nb\nc\n' | grep 'a
c')sh",
    R"sh(printf 'x\0foo\n' > f; grep foo f; grep -c foo f)sh",
};

constexpr const char* kTest[] = {
    R"sh(touch f; mkdir d; ln -s f l; test -e f; echo $?; test -f d; echo $?; test -d d; echo $?;
[ -L l ]; echo $?; [ -s f ]; echo $?; test -x f; echo $?)sh",
    R"sh(test; echo $?; test a; echo $?; test ''; echo $?; test a = a; echo $?; test a != a;
echo $?; test ! a; echo $?; test -n ''; echo $?; test -z ''; echo $?)sh",
    R"sh(test 1 -eq 1; echo $?; test 2 -lt 1; echo $?; test 1 -eq x 2>/dev/null; echo $?;
[ 1 -le 2 -a 2 -ge 1 ]; echo $?; [ a = b -o c = c ]; echo $?; [ '(' a = a ')' ]; echo $?;
[ ! a = b ]; echo $?)sh",
    R"sh(touch -d 2020-01-01 a; touch -d 2021-01-01 b; ln a c; test b -nt a; echo $?;
test b -ot a; echo $?; test a -ef c; echo $?; test -f = -f; echo $?; test = = =; echo $?)sh",
};

constexpr const char* kMisc[] = {
    R"sh(true; echo $?; false; echo $?; sleep 0; sleep x; sleep; sleep 0.01s; echo $?)sh",
    R"sh(cd nope 2>/dev/null; echo $?; mkdir -p a/b; cd a/b; cd ..; ls; cd - > /dev/null;
pwd | grep -c '/a$')sh",
    R"sh(echo a | cat | cat > f; cat < f >> f2; cat f2 f2 | wc -l)sh",
    R"sh(a='x y'; for_=1; echo $a "$a" ${a}z; echo $? ; false || echo or; true && echo and;
! true; echo $?)sh",
    R"sh(touch a1 a2 b1 .h; echo *; echo a?; echo [!a]*; echo nope*; echo 'a'*; echo "*";
mkdir d; touch d/x; echo */*; echo */)sh",
    R"sh(touch 'a b'; cat a\ b 'a b'; ls 'a b' | cat; f='a b'; ls "$f"; ls $f; echo $?)sh",
    R"sh(echo hi > 'x>y'; cat 'x>y'; echo a;echo b&&echo c||echo d;# comment
echo e)sh",
};

#define DENTREE_GNU(name)                                             \
  INSTANTIATE_TEST_SUITE_P(name, GnuTest, testing::ValuesIn(k##name), \
                           [](const auto& test) { return std::to_string(test.index); })
DENTREE_GNU(Ls);
DENTREE_GNU(Mkdir);
DENTREE_GNU(Rm);
DENTREE_GNU(Ln);
DENTREE_GNU(CpMv);
DENTREE_GNU(Destinations);
DENTREE_GNU(Text);
DENTREE_GNU(Print);
DENTREE_GNU(Attr);
DENTREE_GNU(Stat);
DENTREE_GNU(Find);
DENTREE_GNU(Grep);
DENTREE_GNU(Test);
DENTREE_GNU(Misc);

}  // namespace
}  // namespace dentree::shell
