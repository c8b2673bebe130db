#pragma once
#include <string>
#include <vector>

namespace heed {

struct ChartPoint {
  double x = 0.0, y = 0.0;
  std::string title;  ///< shown when the pointer rests on it
  bool marked = false;
};

struct ChartAxis {
  std::string title;
  bool logarithmic = false;
  bool percent = false;                   ///< values are shares of 1
  std::vector<std::string> categories{};  ///< x only: values 0, 1, … have these names
};

/// A scatter of points as one SVG element, with axes, grid and ticks at round numbers; marked points lie on top, joined
/// by a line if `joined`. Classes "grid", "tick", "point", "point marked", "line" and "axis" are the page's to style.
std::string scatter_svg(const std::vector<ChartPoint>& points, const ChartAxis& x, const ChartAxis& y, double width,
                        double height, bool joined = false);

}  // namespace heed
