// Our format texts, read by the library that trace-cmd and KernelShark read them with.

#include <event-parse.h>

#include "tests/trace/trace_test.h"
#include "trace/format.h"

namespace dentree::trace {
namespace {

class FormatReaders : public TraceTest {
 protected:
  FormatReaders() { tep_set_loglevel(TEP_LOG_NONE); }
  ~FormatReaders() override { tep_free(tep); }

  // The event as the library understands it, or null if it does not.
  tep_event* Read(const Event& event) {
    const std::string text = FormatText(event);
    const std::string system(event.system().name()), name(event.name());
    if (tep_parse_event(tep, text.c_str(), text.size(), system.c_str()) != 0) return nullptr;
    tep_event* read = tep_find_event_by_name(tep, system.c_str(), name.c_str());
    return read == nullptr || (read->flags & TEP_EVENT_FL_FAILED) != 0 ? nullptr : read;
  }

  tep_handle* tep = tep_alloc();
};

TEST_F(FormatReaders, LibtraceeventUnderstandsEveryKindOfField) {
  const EventSpec spec{.system = "s",
                       .name = "e",
                       .type = 9,
                       .fields =
                           "bool b:8:1:0;s8 c:9:1:1;u64 d:16:8:0;const char * p:24:8:0;"
                           "u8 mac[6]:32:6:0;unsigned long caller[8]:40:64:0;"
                           "char name[16]:104:16:0;struct in6_addr a:120:16:0;"
                           "__data_loc char[] text:136:4:0;__data_loc u64[] list:140:4:0;"
                           "char buf[]:144:0:0"};
  auto added = registry->Add({&spec, 1});
  ASSERT_TRUE(added.has_value());
  tep_event* read = Read(*added->front());
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->id, 9);
  EXPECT_EQ(read->format.nr_common, 4);
  EXPECT_EQ(read->format.nr_fields, 11);
  EXPECT_EQ(tep_find_field(read, "caller")->offset, 40);
  EXPECT_EQ(tep_find_field(read, "caller")->size, 64);
}

TEST_F(FormatReaders, LibtraceeventUnderstandsATypedTracepoint) {
  Tracepoint<"net", "req", Field<"id", uint64_t>, Field<"status", int32_t>, DynStr<"path">> req{
      "id=%llu \"status\"=%d path=%s"};
  Registration registration = registry->Register(req).value();
  tep_event* read = Read(*registration.event());
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(tep_find_field(read, "path")->flags & TEP_FIELD_IS_DYNAMIC, TEP_FIELD_IS_DYNAMIC);
}

TEST_F(FormatReaders, LibtraceeventTakesTheSizeOfAPageFromItsHeader) {
  std::string text = HeaderPageText();
  ASSERT_EQ(tep_parse_header_page(tep, text.data(), text.size(), sizeof(long)), 0);
  EXPECT_EQ(tep_get_header_page_size(tep), static_cast<int>(sizeof(long)));
  EXPECT_EQ(tep_get_sub_buffer_size(tep), static_cast<int>(kSubBufferBytes));
}

}  // namespace
}  // namespace dentree::trace
