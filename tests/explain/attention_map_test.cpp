#include "explain/attention_map.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <algorithm>
#include <clocale>

#include "explain/attention_html.h"
#include "explain/attention_terminal.h"
#include "formats/utf8.h"

namespace heed {
namespace {

AttentionMap two_heads() {
  AttentionMap map;
  map.title = "ab → xy";
  map.caption = "How to read it.";
  map.rows = {"x", "y"};
  map.columns = {"a", "b", "</s>"};
  map.heads = {"first", "second"};
  map.weights = Tensor({2, 2, 3});
  const float weights[] = {1.0f, 0.0f, 0.0f, 0.0f, 0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.0f, 0.0f, 1.0f};
  std::copy(std::begin(weights), std::end(weights), map.weights.floats());
  return map;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(AttentionMap, MeanIsTakenOverTheHeads) {
  const Tensor mean = mean_over_heads(two_heads());
  EXPECT_EQ(mean.shape(), (Shape{2, 3}));
  EXPECT_FLOAT_EQ(mean.floats()[0], 0.75f);
  EXPECT_FLOAT_EQ(mean.floats()[5], 0.75f);
}

TEST(AttentionMap, LabelsThatDoNotFitTheWeightsAreRefused) {
  AttentionMap map = two_heads();
  map.columns.pop_back();
  EXPECT_THROW(check(map), Error);
  EXPECT_THROW(attention_html(map), Error);
  EXPECT_THROW(attention_terminal(map), Error);
  map.columns.clear();
  EXPECT_THROW(check(map), Error);
}

TEST(AttentionMap, LabelsShowInOneLine) {
  EXPECT_EQ(shown_label("word"), "word");
  EXPECT_EQ(shown_label(""), "␣");
  EXPECT_EQ(shown_label("a b"), "a␣b");
  EXPECT_EQ(shown_label("\n\t"), "␊␉");
  EXPECT_EQ(shown_label("\x1b[31m"), "␛[31m");
  EXPECT_EQ(shown_label("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(shown_label("\xc2\x9b"), "\xef\xbf\xbd") << "a control sequence's start in one character";
}

TEST(AttentionMap, DisplayWidthCountsWideAndCombiningCharacters) {
  EXPECT_EQ(display_width("Größe"), 5);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("🙂"), 2);
}

TEST(AttentionHtml, EscapesWhatHtmlWouldTakeForMarkup) {
  EXPECT_EQ(escaped_html("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escaped_html("a\xff"), "a\xef\xbf\xbd");
  AttentionMap map = two_heads();
  for (std::string* text : {&map.title, &map.caption, &map.rows[0], &map.columns[0], &map.heads[0]})
    *text = "<script>'\"&\xff";
  const std::string page = attention_html(map);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("'\"&\xff"), std::string::npos);
  EXPECT_TRUE(valid_utf8(page));
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
}

TEST(AttentionHtml, DrawsTheMeanAndEveryHead) {
  const std::string page = attention_html(two_heads());
  EXPECT_EQ(count_of(page, "<svg "), 3u);
  EXPECT_EQ(count_of(page, "</svg>"), 3u);
  // Cells of weight 0 are left out: one in the mean, three in the first head, two in the second.
  EXPECT_EQ(count_of(page, "class=\"weight\""), 18u - 1 - 3 - 2);
  EXPECT_NE(page.find("<title>x ← a: 75.0 %</title>"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing is loaded from elsewhere";
}

TEST(AttentionHtml, TheSameMapGivesTheSameBytesInEveryLocale) {
  const std::string page = attention_html(two_heads());
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  EXPECT_EQ(attention_html(two_heads()), page);
  std::setlocale(LC_ALL, "C");
}

TEST(AttentionHtml, ManyColumnsAreNarrow) {
  AttentionMap map = two_heads();
  map.columns.assign(200, "column");
  map.weights = Tensor({2, 2, 200});
  map.weights.fill(1.0f / 200);
  EXPECT_NE(attention_html(map).find("rotate(-45"), std::string::npos);
}

TEST(AttentionTerminal, ShadesEachCellByItsWeight) {
  EXPECT_EQ(attention_terminal(two_heads()),
            "   a  b  </s>\n"
            "x  ██ ░░ ░░░░\n"
            "y  ·· ▒▒ ████\n");
}

TEST(AttentionTerminal, ColumnsThatDoNotFitComeInBandsBelow) {
  EXPECT_EQ(attention_terminal(two_heads(), {.columns = 9}),
            "   a  b\n"
            "x  ██ ░░\n"
            "y  ·· ▒▒\n"
            "\n"
            "   </s>\n"
            "x  ░░░░\n"
            "y  ████\n");
  EXPECT_EQ(count_of(attention_terminal(two_heads(), {.columns = 1}), "\n\n"), 2u) << "at least a column a band";
}

TEST(AttentionTerminal, WideLabelsStayAligned) {
  AttentionMap map = two_heads();
  map.rows[0] = "日";
  map.columns[0] = "本";
  EXPECT_EQ(attention_terminal(map),
            "    本 b  </s>\n"
            "日  ██ ░░ ░░░░\n"
            " y  ·· ▒▒ ████\n");
}

TEST(AttentionTerminal, ColourMarksTheStrongestOfARow) {
  const std::string picture = attention_terminal(two_heads(), {.columns = 80, .colour = true});
  EXPECT_EQ(count_of(picture, "\033[1;33m"), 2u);
  EXPECT_EQ(count_of(picture, "\033[0m"), 6u);
}

}  // namespace
}  // namespace heed
