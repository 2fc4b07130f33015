#include "trace/tracepoint.h"

#include <array>
#include <cstring>

#include "tests/trace/trace_test.h"

namespace dentree::trace {
namespace {

using base::Errno;
using TracepointTest = TraceTest;

enum class Colour : int16_t { kRed = -1, kGreen = 7 };

using ReqDone =
    Tracepoint<"net", "req_done", Field<"id", uint64_t>, Field<"status", int32_t>, Str<"path", 32>>;
using Mixed =
    Tracepoint<"net", "mixed", Field<"flag", bool>, Field<"colour", Colour>,
               Array<"mac", uint8_t, 6>, DynStr<"name">, Field<"at", uint64_t>, DynStr<"why">>;

// A static one, as a program with one Os would have.
inline constinit Tracepoint<"net", "ping"> kPing;

TEST(RecordLayout, FieldsLieAsInAStructBehindTheHeader) {
  EXPECT_EQ(ReqDone::Layout::kText.view(), "u64 id:8:8:0;s32 status:16:4:1;char path[32]:20:32:0");
  EXPECT_EQ(ReqDone::Layout::kFixedBytes, 52u);
  EXPECT_EQ(Mixed::Layout::kText.view(),
            "bool flag:8:1:0;s16 colour:10:2:1;u8 mac[6]:12:6:0;__data_loc char[] name:20:4:0;"
            "u64 at:24:8:0;__data_loc char[] why:32:4:0");
  EXPECT_EQ(RecordLayout<>::kText.view(), "");
  EXPECT_EQ(RecordLayout<>::kFixedBytes, sizeof(RecordHeader));
}

template <class F>
std::array<std::byte, 600> Stored(size_t offset, size_t end, typename F::Arg value) {
  std::array<std::byte, 600> record;
  record.fill(std::byte{0xee});
  RecordCursor cursor{record.data(), end};
  F::Store(cursor, offset, value);
  return record;
}

std::string_view TextAt(const std::array<std::byte, 600>& record, size_t at, size_t size) {
  return {reinterpret_cast<const char*>(record.data()) + at, size};
}

TEST(FieldStore, ATextOfFixedSizeIsCutAndAlwaysTerminated) {
  using F = Str<"s", 8>;
  EXPECT_EQ(TextAt(Stored<F>(8, 16, "abc"), 8, 9), std::string_view("abc\0\0\0\0\0\xee", 9));
  EXPECT_EQ(TextAt(Stored<F>(8, 16, "0123456789"), 8, 9), std::string_view("0123456\0\xee", 9));
  EXPECT_EQ(TextAt(Stored<F>(8, 16, ""), 8, 1), std::string_view("\0", 1));
}

TEST(FieldStore, ADynamicTextLiesBehindTheFixedPartWithItsPlaceInFront) {
  using F = DynStr<"s">;
  const auto record = Stored<F>(8, 40, "hello");
  uint32_t where;
  std::memcpy(&where, record.data() + 8, sizeof(where));
  EXPECT_EQ(where & 0xffff, 40u);
  EXPECT_EQ(where >> 16, 6u);
  EXPECT_EQ(TextAt(record, 40, 7), std::string_view("hello\0\xee", 7));
  const auto cut = Stored<F>(8, 40, std::string(1000, 'x'));
  std::memcpy(&where, cut.data() + 8, sizeof(where));
  EXPECT_EQ(where >> 16, kMaxDynStrBytes);
  EXPECT_EQ(cut[40 + kMaxDynStrBytes - 1], std::byte{0});
  EXPECT_EQ(cut[40 + kMaxDynStrBytes], std::byte{0xee});
}

TEST_F(TracepointTest, FiresOnlyWhereItIsEnabled) {
  ReqDone req_done{"id=%llu status=%d path=%s"};
  req_done(1, 200, "before it is registered");
  Registration registration = registry->Register(req_done).value();
  auto a = MakeInstance("a"), b = MakeInstance("b");
  req_done(1, 200, "/");
  EXPECT_FALSE(req_done.enabled());
  ASSERT_TRUE(a->Set(*registration.event(), Switch::kOn).has_value());
  EXPECT_TRUE(req_done.enabled());
  req_done(2, 200, "/");
  ASSERT_TRUE(b->WriteSetEvent("net:req_done").has_value());
  req_done(3, 404, "/x");
  EXPECT_EQ(a->hits(), 2u);
  EXPECT_EQ(b->hits(), 1u);
  EXPECT_EQ(registry->top().hits(), 0u);
  ASSERT_TRUE(a->SetAll(Switch::kOff).has_value());
  EXPECT_TRUE(req_done.enabled()) << "b still has it";
  ASSERT_TRUE(registry->RemoveInstance(*b).has_value());
  EXPECT_FALSE(req_done.enabled());
  req_done(4, 200, "/");
  EXPECT_EQ(a->hits(), 2u);
}

TEST_F(TracepointTest, TracingOffKeepsNothing) {
  Registration registration = registry->Register(kPing).value();
  ASSERT_TRUE(registry->top().SetAll(Switch::kOn).has_value());
  registry->top().SetTracing(Switch::kOff);
  kPing();
  EXPECT_EQ(registry->top().hits(), 0u);
  registry->top().SetTracing(Switch::kOn);
  kPing();
  EXPECT_EQ(registry->top().hits(), 1u);
}

TEST_F(TracepointTest, TheEndOfARegistrationDisablesAndRemoves) {
  auto i = MakeInstance("i");
  {
    Registration registration = registry->Register(kPing).value();
    EXPECT_EQ(registry->Register(kPing).error(), Errno::kBusy);
    ASSERT_TRUE(i->SetAll(Switch::kOn).has_value());
    ASSERT_TRUE(registry->top().SetAll(Switch::kOn).has_value());
    EXPECT_EQ(registry->Remove(*registration.event()).error(), Errno::kBusy);
  }
  EXPECT_FALSE(kPing.enabled());
  EXPECT_EQ(i->enabled_count(), 0u);
  EXPECT_EQ(AllEvents(), "");
  EXPECT_TRUE(registry->Register(kPing).has_value()) << "it can be registered again";
}

TEST_F(TracepointTest, RegisteringReportsErrorsAsValues) {
  Tracepoint<"enable", "e"> reserved;
  EXPECT_EQ(registry->Register(reserved).error(), Errno::kExist);
  Tracepoint<"a/b", "e"> slash;
  EXPECT_EQ(registry->Register(slash).error(), Errno::kInval);
  Registration registration = registry->Register(kPing).value();
  Tracepoint<"net", "ping"> twin;
  EXPECT_EQ(registry->Register(twin).error(), Errno::kExist);
}

TEST_F(TracepointTest, TwoRegistriesInOneProcessDoNotSeeEachOther) {
  Registry other({.rcu = rcu, .faults = faults, .sync_points = points, .key = {{3, 4}}});
  Mixed here, there;
  Registration a = registry->Register(here).value();
  Registration b = other.Register(there).value();
  ASSERT_TRUE(other.top().SetAll(Switch::kOn).has_value());
  const uint8_t mac[6] = {};
  for (auto* tracepoint : {&here, &there}) {
    (*tracepoint)(true, Colour::kGreen, mac, "name", 1, "why");
  }
  EXPECT_FALSE(here.enabled());
  EXPECT_EQ(registry->top().hits(), 0u);
  EXPECT_EQ(other.top().hits(), 1u);
}

TEST_F(TracepointTest, ARecordWrittenWhileWritingOneIsDroppedAndCounted) {
  Registration registration = registry->Register(kPing).value();
  ASSERT_TRUE(registry->top().SetAll(Switch::kOn).has_value());
  points.OnHit("trace:commit", [] { kPing(); });
  kPing();
  points.Reset();
  EXPECT_EQ(registry->top().hits(), 1u);
  EXPECT_EQ(registry->stats().nested.Value(), 1u);
  kPing();
  EXPECT_EQ(registry->top().hits(), 2u) << "the mark is gone again";
}

}  // namespace
}  // namespace dentree::trace
