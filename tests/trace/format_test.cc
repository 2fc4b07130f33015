#include "trace/format.h"

#include "tests/trace/trace_test.h"

namespace dentree::trace {
namespace {

class FormatTest : public TraceTest {
 protected:
  std::string FormatOf(std::string_view fields, std::string_view print_format = {}) {
    const EventSpec spec{
        .system = "s", .name = "e", .type = 9, .fields = fields, .print_format = print_format};
    auto added = registry->Add({&spec, 1});
    if (!added) return added.error().reason;
    std::string text = FormatText(*added->front());
    EXPECT_TRUE(registry->Remove(*added->front()).has_value());
    return text;
  }

  // The last line, without "print fmt: ".
  std::string PrintFmt(std::string_view fields, std::string_view print_format = {}) {
    std::string text = FormatOf(fields, print_format);
    const size_t at = text.find("\nprint fmt: ");
    return at == text.npos ? text : text.substr(at + 12, text.size() - at - 13);
  }

  static std::string Reason(std::string_view fields) {
    auto ok = CheckFields(fields);
    return ok ? "" : std::to_string(ok.error().at) + ": " + ok.error().reason;
  }
};

TEST_F(FormatTest, IsTheTextOfLinuxUpToThePrintFmt) {
  const EventSpec spec{
      .system = "sched",
      .name = "sched_switch",
      .type = 372,
      .fields =
          "char prev_comm[16]:8:16:0;pid_t prev_pid:24:4:1;int prev_prio:28:4:1;"
          "long prev_state:32:8:1;char next_comm[16]:40:16:0;pid_t next_pid:56:4:1;"
          "int next_prio:60:4:1"};
  auto added = registry->Add({&spec, 1});
  ASSERT_TRUE(added.has_value());
  EXPECT_EQ(FormatText(*added->front()),
            "name: sched_switch\n"
            "ID: 372\n"
            "format:\n"
            "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
            "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
            "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
            "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
            "\n"
            "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n"
            "\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"
            "\tfield:int prev_prio;\toffset:28;\tsize:4;\tsigned:1;\n"
            "\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;\n"
            "\tfield:char next_comm[16];\toffset:40;\tsize:16;\tsigned:0;\n"
            "\tfield:pid_t next_pid;\toffset:56;\tsize:4;\tsigned:1;\n"
            "\tfield:int next_prio;\toffset:60;\tsize:4;\tsigned:1;\n"
            "\n"
            "print fmt: \"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%lld next_comm=%s "
            "next_pid=%d next_prio=%d\", REC->prev_comm, REC->prev_pid, REC->prev_prio, "
            "REC->prev_state, REC->next_comm, REC->next_pid, REC->next_prio\n");
}

TEST_F(FormatTest, AnEventWithoutFieldsOfItsOwnHasTheCommonOnes) {
  EXPECT_TRUE(
      FormatOf("").ends_with("\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
                             "\n"
                             "\nprint fmt: \"\"\n"));
}

TEST_F(FormatTest, ATypedTracepointDescribesItself) {
  Tracepoint<"net", "req", Field<"id", uint64_t>, Field<"status", int32_t>, DynStr<"path">> req{
      "id=%llu status=%d path=%s"};
  Registration registration = registry->Register(req).value();
  const std::string text = FormatText(*registration.event());
  EXPECT_NE(text.find("\tfield:u64 id;\toffset:8;\tsize:8;\tsigned:0;\n"
                      "\tfield:s32 status;\toffset:16;\tsize:4;\tsigned:1;\n"
                      "\tfield:__data_loc char[] path;\toffset:20;\tsize:4;\tsigned:0;\n"
                      "\nprint fmt: \"id=%llu status=%d path=%s\", REC->id, REC->status, "
                      "__get_str(path)\n"),
            std::string::npos)
      << text;
}

TEST_F(FormatTest, ThePrintFmtShowsEveryKindOfField) {
  EXPECT_EQ(PrintFmt("bool b:8:1:0;s8 c:9:1:1"), "\"b=%u c=%d\", REC->b, REC->c");
  EXPECT_EQ(PrintFmt("u64 a:8:8:0;s64 b:16:8:1"), "\"a=%llu b=%lld\", REC->a, REC->b");
  EXPECT_EQ(PrintFmt("const char * p:8:8:0"), "\"p=%p\", REC->p");
  EXPECT_EQ(PrintFmt("char *p:8:8:0"), "\"p=%p\", REC->p");
  EXPECT_EQ(PrintFmt("u8 mac[6]:8:6:0"), "\"mac=%s\", __print_array(REC->mac, 6, 1)");
  EXPECT_EQ(PrintFmt("unsigned long caller[8]:8:64:0"),
            "\"caller=%s\", __print_array(REC->caller, 8, 8)");
  EXPECT_EQ(PrintFmt("char name[N]:8:16:0"), "\"name=%s\", REC->name");
  EXPECT_EQ(PrintFmt("u8 odd[N]:8:16:0"), "\"odd=%s\", __print_hex(REC->odd, 16)");
  EXPECT_EQ(PrintFmt("struct in6_addr a:8:16:0"), "\"a=%s\", __print_hex(REC->a, 16)");
  EXPECT_EQ(PrintFmt("__data_loc char[] n:8:4:0"), "\"n=%s\", __get_str(n)");
  EXPECT_EQ(PrintFmt("__rel_loc char[] n:8:4:0"), "\"n=%s\", __get_rel_str(n)");
  EXPECT_EQ(PrintFmt("__data_loc u64[] n:8:4:0"),
            "\"n=%s\", __print_hex(__get_dynamic_array(n), __get_dynamic_array_len(n))");
  EXPECT_EQ(PrintFmt("u64 ip:8:8:0;char buf[]:16:0:0"), "\"ip=%llu buf=%s\", REC->ip, REC->buf");
  EXPECT_EQ(PrintFmt("u64 ip:8:8:0;u32 rest[]:16:0:0"), "\"ip=%llu\", REC->ip");
}

TEST_F(FormatTest, APrintFormatIsQuoted) {
  EXPECT_EQ(PrintFmt("int a:8:4:1", "say \"%d\"\\\n"), "\"say \\\"%d\\\"\\\\\\n\", REC->a");
}

TEST_F(FormatTest, OffsetsMayLeaveHolesAndStandInAnyOrder) {
  const std::string text = FormatOf("int b:100:4:1;int a:8:4:1");
  EXPECT_NE(text.find("\tfield:int b;\toffset:100;\tsize:4;\tsigned:1;\n"
                      "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n"),
            std::string::npos);
}

TEST_F(FormatTest, BadFieldsAreRefusedWithTheirPlace) {
  EXPECT_EQ(Reason("int a:8:4:1"), "");
  EXPECT_EQ(Reason("int a"), "0: a field needs declaration:offset:size:signed");
  EXPECT_EQ(Reason("int a:8:4:2"), "10: signed must be 0 or 1");
  EXPECT_EQ(Reason("int a:8:x:1"), "8: not a number from 0 to 65535");
  EXPECT_EQ(Reason("int a:65536:4:1"), "6: not a number from 0 to 65535");
  EXPECT_EQ(Reason("int a:-8:4:1"), "6: not a number from 0 to 65535");
  EXPECT_EQ(Reason("int a:8:4:1;"), "12: a field is missing");
  EXPECT_EQ(Reason(";"), "0: a field needs declaration:offset:size:signed");
  EXPECT_EQ(Reason("int a:8:4:1;;int b:12:4:1"),
            "12: a field needs declaration:offset:size:signed");
  EXPECT_EQ(Reason("int a:8:4:1;int b:4:4:1"), "12: the field lies in the record's header");
  EXPECT_EQ(Reason("int:8:4:1"), "0: a declaration needs a type and a name");
  EXPECT_EQ(Reason("int [4]:8:4:1"), "0: a declaration needs a type and a name");
  EXPECT_EQ(Reason("u8 ]:8:4:1"), "0: a declaration needs a type and a name");
  EXPECT_EQ(Reason("int\ta:8:4:1"), "0: a control character in the declaration");
  EXPECT_EQ(Reason(std::string(40000, 'x')), "32768: more than 32 KiB of fields");
}

}  // namespace
}  // namespace dentree::trace
