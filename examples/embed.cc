#include "os/os.h"
#include "shell/shell.h"

using namespace dentree;

int main() {
  auto os = os::Os::Boot().value();

  trace::Tracepoint<"shop", "sold", trace::Field<"item", uint32_t>, trace::DynStr<"buyer">> sold{
      "item=%u buyer=%s"};
  auto registration = os->registry().Register(sold).value();

  shell::Shell shell(os->NewTask(), shell::Streams::OfHost());
  shell.RunText("cd /sys/kernel/tracing; cat events/shop/sold/format");
  shell.RunText("echo 1 > events/shop/sold/enable; cat set_event");
  sold(42, "alice");

  return shell.RunText("echo 0 > events/enable; ls -l events/shop/sold");
}
