#include "explain/chart.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "explain/attention_html.h"

namespace heed {

namespace {

std::string decimal(double value, int digits) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits).ptr};
}
std::string pixel(double value) { return decimal(value, 1); }

/// 1500 as 1.5k, 0.003 as 0.003: what a tick has room for.
std::string tick_text(double value, bool percent) {
  if (percent) value *= 100.0;
  const double size = std::abs(value);
  const char* unit = percent ? " %" : "";
  if (!percent && size >= 1e6)
    value /= 1e6, unit = "M";
  else if (!percent && size >= 1e4)
    value /= 1e3, unit = "k";
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value, std::chars_format::general, 4).ptr) + unit;
}

/// Values as places between 0 and 1, and where its ticks stand.
class Scale {
 public:
  Scale(const std::vector<double>& values, const ChartAxis& axis, int ticks) : logarithmic_(axis.logarithmic) {
    low_ = high_ = values.empty() ? 0.0 : transformed(values.front());
    for (const double value : values) {
      low_ = std::min(low_, transformed(value));
      high_ = std::max(high_, transformed(value));
    }
    if (!axis.categories.empty())
      low_ = -0.5, high_ = static_cast<double>(axis.categories.size()) - 0.5;
    else if (const double margin = high_ > low_ ? 0.05 * (high_ - low_) : std::max(std::abs(low_) * 0.05, 1e-3); true)
      low_ -= margin, high_ += margin;
    if (axis.categories.empty()) make_ticks(ticks);
  }
  double operator()(double value) const { return (transformed(value) - low_) / (high_ - low_); }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  double transformed(double value) const { return logarithmic_ ? std::log10(value) : value; }
  void make_ticks(int wanted) {
    if (logarithmic_ && high_ - low_ > 0.6) {
      for (const auto& mantissas : {std::vector<double>{1}, {1, 3}, {1, 2, 5}}) {
        ticks_.clear();
        for (int power = static_cast<int>(std::floor(low_)); power <= static_cast<int>(std::ceil(high_)); ++power)
          for (const double mantissa : mantissas)
            if (const double value = mantissa * std::pow(10.0, power);
                transformed(value) >= low_ && transformed(value) <= high_)
              ticks_.push_back(value);
        if (static_cast<int>(ticks_.size()) >= wanted / 2 + 1) return;
      }
      if (ticks_.size() > 1) return;
    }
    const double from = logarithmic_ ? std::pow(10.0, low_) : low_, to = logarithmic_ ? std::pow(10.0, high_) : high_;
    const double raw = (to - from) / wanted, power = std::pow(10.0, std::floor(std::log10(raw)));
    const double step = raw / power <= 1.0   ? power
                        : raw / power <= 2.0 ? 2.0 * power
                        : raw / power <= 5.0 ? 5.0 * power
                                             : 10.0 * power;
    ticks_.clear();
    for (double tick = std::ceil(from / step); tick * step <= to; tick += 1.0) ticks_.push_back(tick * step);
  }

  bool logarithmic_;
  double low_ = 0.0, high_ = 1.0;
  std::vector<double> ticks_;
};

}  // namespace

std::string scatter_svg(const std::vector<ChartPoint>& points, const ChartAxis& x, const ChartAxis& y, double width,
                        double height, bool joined) {
  constexpr double left = 64.0, right = 14.0, top = 12.0, letter = 6.8;
  // Names that would run into each other stand on two lines in turn.
  std::size_t longest = 0;
  for (const std::string& name : x.categories) longest = std::max(longest, name.size());
  const bool staggered = letter * static_cast<double>(longest * x.categories.size()) > width - left - right;
  const double bottom = staggered ? 60.0 : 46.0;
  std::vector<double> xs, ys;
  for (const ChartPoint& point : points) xs.push_back(point.x), ys.push_back(point.y);
  const Scale across(xs, x, static_cast<int>(width / 110.0)), up(ys, y, static_cast<int>(height / 48.0));
  const auto place_x = [&](double value) { return left + across(value) * (width - left - right); };
  const auto place_y = [&](double value) { return height - bottom - up(value) * (height - top - bottom); };

  std::string svg = format("<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">\n",
                           escaped_html(y.title + " by " + x.title), decimal(width, 0), decimal(height, 0),
                           decimal(width, 0), decimal(height, 0));
  for (const double tick : up.ticks()) {
    const std::string at = pixel(place_y(tick));
    svg += format("<line class=\"grid\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>", pixel(left), at,
                  pixel(width - right), at);
    svg += format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", pixel(left - 7.0),
                  pixel(place_y(tick) + 4.0), tick_text(tick, y.percent));
  }
  const auto x_tick = [&](double value, const std::string& text, double lower = 0.0) {
    svg += format("<line class=\"grid\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>", pixel(place_x(value)), pixel(top),
                  pixel(place_x(value)), pixel(height - bottom));
    svg += format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", pixel(place_x(value)),
                  pixel(height - bottom + 17.0 + lower), escaped_html(text));
  };
  for (const double tick : across.ticks()) x_tick(tick, tick_text(tick, x.percent));
  for (std::size_t i = 0; i < x.categories.size(); ++i)
    x_tick(static_cast<double>(i), x.categories[i], staggered && i % 2 == 1 ? 14.0 : 0.0);
  svg += format("<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                pixel((left + width - right) / 2), pixel(height - 8.0), escaped_html(x.title));
  const std::string middle = pixel((top + height - bottom) / 2);
  svg += format(
      "<text class=\"axis\" x=\"14\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {})\">{}</text>\n",
      middle, middle, escaped_html(y.title));

  if (joined) {
    std::vector<const ChartPoint*> marked;
    for (const ChartPoint& point : points)
      if (point.marked) marked.push_back(&point);
    std::sort(marked.begin(), marked.end(), [](const ChartPoint* a, const ChartPoint* b) { return a->x < b->x; });
    std::string path;
    for (const ChartPoint* point : marked)
      path += format("{}{} {}", path.empty() ? "M" : " L", pixel(place_x(point->x)), pixel(place_y(point->y)));
    if (marked.size() > 1) svg += "<path class=\"line\" d=\"" + path + "\"/>\n";
  }
  for (const bool marked : {false, true})
    for (const ChartPoint& point : points)
      if (point.marked == marked)
        svg += format("<circle class=\"point{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{}</title></circle>\n",
                      marked ? " marked" : "", pixel(place_x(point.x)), pixel(place_y(point.y)), marked ? "5.5" : "4",
                      escaped_html(point.title));
  return svg + "</svg>\n";
}

}  // namespace heed
