#include "lab/picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/str_format.h"

namespace dentree::lab {

namespace {

// Lengths in pixels.
constexpr int kWidth = 1240;
constexpr int kPanelsInRow = 4;
constexpr int kPanelWidth = 290;
constexpr int kPanelHeight = 210;
constexpr int kMargin = 40;       // left of and below a panel's field, for its numbers
constexpr int kTitleHeight = 60;  // of the picture
constexpr int kLegendRow = 18;
constexpr int kLegendColumns = 6;
constexpr int kBarRow = 20;
constexpr int kBarLeft = 130;

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

double Log(double value) { return std::log10(std::max(value, 1.0)); }

// 1, 10, ... as "1", "10", "1k", "10k", "1M".
std::string PowerText(int exponent) {
  constexpr std::array<std::string_view, 4> kSuffixes = {"", "k", "M", "G"};
  const auto suffix = static_cast<size_t>(exponent / 3) % kSuffixes.size();
  return std::string(1, '1') + std::string(static_cast<size_t>(exponent % 3), '0') +
         std::string(kSuffixes[suffix]);
}

// A horizontal logarithmic axis over whole powers of ten.
class LogAxis {
 public:
  LogAxis(double left, double width, double most)
      : left_(left), width_(width), powers_(std::max(1.0, std::ceil(Log(most)))) {}
  double At(double value) const { return left_ + width_ * Log(value) / powers_; }
  int powers() const { return static_cast<int>(powers_); }

 private:
  const double left_, width_, powers_;
};

class Picture {
 public:
  explicit Picture(std::span<const WorkloadReport> reports) : reports_(reports) {
    for (const WorkloadReport& report : reports) {
      for (const Cell& cell : report.cells) {
        if (std::ranges::find(policies_, cell.policy) == policies_.end()) {
          policies_.push_back(cell.policy);
        }
        insert_ns_[cell.policy].Merge(cell.result.insert_ns);
      }
    }
  }

  std::string Text() {
    double y = kTitleHeight;
    y = Legend(y);
    y = Panels(y);
    y = Bars(y + 20);
    return absl::StrFormat(
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
               "font-family=\"sans-serif\" font-size=\"11\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
               kWidth, y + 20) +
           Label(kWidth / 2.0, 28,
                 "Negative dentries: hits against memory, and the cost of inserts", "middle", 18) +
           body_ + "</svg>\n";
  }

 private:
  static std::string Label(double x, double y, std::string_view text,
                           std::string_view anchor = "start", int size = 11) {
    return absl::StrFormat(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n", x, y, anchor,
        size, Escaped(text));
  }
  void Line(double x1, double y1, double x2, double y2, std::string_view style) {
    body_ += absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1,
                             x2, y2, style);
  }
  std::string ColorOf(std::string_view policy) const {
    const auto at = std::ranges::find(policies_, policy) - policies_.begin();
    // Neighbours far apart on the wheel, every other one darker.
    return absl::StrFormat("hsl(%d,75%%,%d%%)", at * 137 % 360, at % 2 == 0 ? 40 : 55);
  }

  double Legend(double y) {
    for (size_t i = 0; i < policies_.size(); ++i) {
      const double x = kMargin + static_cast<double>(i % kLegendColumns) * 190;
      const double row = y + static_cast<double>(i / kLegendColumns) * kLegendRow;
      body_ += absl::StrFormat("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x,
                               row - 4, ColorOf(policies_[i]));
      body_ += Label(x + 10, row, policies_[i]);
    }
    const size_t rows = (policies_.size() + kLegendColumns - 1) / kLegendColumns;
    return y + static_cast<double>(rows) * kLegendRow + 10;
  }

  double Panels(double y) {
    for (size_t i = 0; i < reports_.size(); ++i) {
      Panel(reports_[i], kMargin + static_cast<double>(i % kPanelsInRow) * (kPanelWidth + 10),
            y + static_cast<double>(i / kPanelsInRow) * (kPanelHeight + 20));
    }
    const size_t rows = (reports_.size() + kPanelsInRow - 1) / kPanelsInRow;
    return y + static_cast<double>(rows) * (kPanelHeight + 20);
  }

  void Panel(const WorkloadReport& report, double left, double top) {
    const double width = kPanelWidth - kMargin, height = kPanelHeight - kMargin;
    const double floor = top + 15 + height;
    const auto up = [&](double part) { return floor - height * std::clamp(part, 0.0, 1.0); };
    uint64_t most = 10;
    for (const Cell& cell : report.cells) most = std::max(most, cell.result.negatives.high_water);
    const LogAxis axis(left, width, static_cast<double>(most));
    body_ += Label(left, top + 8, report.name, "start", 12);
    for (const int percent : {0, 25, 50, 75, 100}) {
      Line(left, up(percent / 100.0), left + width, up(percent / 100.0), "stroke=\"#ddd\"");
      body_ += Label(left - 4, up(percent / 100.0) + 4, absl::StrFormat("%d%%", percent), "end", 9);
    }
    for (int power = 0; power <= axis.powers(); ++power) {
      const double x = axis.At(std::pow(10, power));
      Line(x, floor, x, floor - height, "stroke=\"#eee\"");
      body_ += Label(x, floor + 12, PowerText(power), "middle", 9);
    }
    Best(report, axis, up);
    for (const std::string& policy : policies_) Points(report, policy, axis, up);
  }

  void Best(const WorkloadReport& report, const LogAxis& axis, const auto& up) {
    if (report.useful_hits == 0) return;
    std::string points;
    for (const auto& [cap, hits] : report.best) {
      const double part = static_cast<double>(hits) / static_cast<double>(report.useful_hits);
      points += absl::StrFormat("%.1f,%.1f ", axis.At(static_cast<double>(cap)), up(part));
    }
    body_ += absl::StrFormat(
        "<polyline points=\"%s\" fill=\"none\" stroke=\"#888\" stroke-dasharray=\"4 3\"/>\n",
        points);
  }

  void Points(const WorkloadReport& report, const std::string& policy, const LogAxis& axis,
              const auto& up) {
    std::string points, circles;
    for (const Cell& cell : report.cells) {
      if (cell.policy != policy) continue;
      const double x = axis.At(static_cast<double>(cell.result.negatives.high_water));
      const double y = up(cell.useful);
      points += absl::StrFormat("%.1f,%.1f ", x, y);
      circles += absl::StrFormat(
          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\" fill-opacity=\"0.8\"><title>%s: "
          "%.1f%% with %d entries</title></circle>\n",
          x, y, ColorOf(policy), Escaped(policy), 100 * cell.useful,
          cell.result.negatives.high_water);
    }
    if (circles.empty()) return;
    body_ += absl::StrFormat("<polyline points=\"%s\" fill=\"none\" stroke=\"%s\"/>\n", points,
                             ColorOf(policy));
    body_ += circles;
  }

  double Bars(double y) {
    double most = 10;
    for (const auto& [policy, ns] : insert_ns_)
      most = std::max(most, static_cast<double>(ns.max()));
    const LogAxis axis(kBarLeft, kWidth - kBarLeft - kMargin, most);
    body_ += Label(kMargin, y, "An insert, over all workloads (ns): median, 99.99 %, longest",
                   "start", 12);
    const double floor = y + 12 + static_cast<double>(policies_.size()) * kBarRow;
    for (int power = 0; power <= axis.powers(); ++power) {
      const double x = axis.At(std::pow(10, power));
      Line(x, y + 8, x, floor, "stroke=\"#eee\"");
      body_ += Label(x, floor + 12, PowerText(power), "middle", 9);
    }
    for (const std::string& policy : policies_) {
      y += kBarRow;
      Bar(policy, axis, y);
    }
    return floor + 20;
  }

  void Bar(const std::string& policy, const LogAxis& axis, double y) {
    const Histogram& ns = insert_ns_.at(policy);
    body_ += Label(kBarLeft - 6, y + 4, policy, "end");
    if (ns.count() == 0) return;
    const std::array<std::pair<uint64_t, std::string_view>, 3> parts = {
        {{ns.max(), "0.3"}, {ns.Quantile(0.9999), "0.6"}, {ns.Quantile(0.5), "1"}}};
    for (const auto& [value, opacity] : parts) {
      body_ += absl::StrFormat(
          "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"12\" fill=\"%s\" fill-opacity=\"%s\">"
          "<title>%d ns</title></rect>\n",
          kBarLeft, y - 6, axis.At(static_cast<double>(value)) - kBarLeft, ColorOf(policy), opacity,
          value);
    }
  }

  const std::span<const WorkloadReport> reports_;
  std::vector<std::string> policies_;  // in the order of the table
  std::map<std::string, Histogram> insert_ns_;
  std::string body_;
};

}  // namespace

std::string SvgText(std::span<const WorkloadReport> reports) { return Picture(reports).Text(); }

}  // namespace dentree::lab
