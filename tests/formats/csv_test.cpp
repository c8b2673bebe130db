#include "formats/csv.h"

#include "formats/test_files.h"
#include "formats/utf8.h"

namespace heed {
namespace {

using Records = std::vector<std::vector<std::string>>;

CsvReader reader_of(std::string text, CsvOptions options = {}) {
  return CsvReader(LineReader(ByteReader::of_bytes(std::move(text), "x.csv"), options.lines), options);
}

Records records_of(CsvReader reader) {
  Records records;
  while (reader.next()) {
    auto& record = records.emplace_back();
    for (std::size_t i = 0; i < reader.size(); ++i) record.emplace_back(reader[i]);
  }
  return records;
}

CsvOptions no_header() {
  CsvOptions options;
  options.header = false;
  return options;
}

TEST(CsvReader, QuotedFieldsHoldSeparatorsLineEndsAndQuotes) {
  CsvReader reader = reader_of("\ufefflabel,text\r\n1,\"a, b\"\r\n0,\"two\r\nlines\nand \"\"quotes\"\"\"\r\n,\"\"\r\n");
  EXPECT_EQ(reader.header(), (std::vector<std::string>{"label", "text"}));
  EXPECT_EQ(reader.column("text"), 1u);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 2);
  EXPECT_EQ(reader[1], "a, b");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader[1], "two\r\nlines\nand \"quotes\"");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 6);
  EXPECT_EQ(reader[0], "");
  EXPECT_EQ(reader[1], "");
  EXPECT_FALSE(reader.next());
}

TEST(CsvReader, WithoutHeaderTheFirstRecordIsData) {
  EXPECT_EQ(records_of(reader_of("a,b\nc,", no_header())), (Records{{"a", "b"}, {"c", ""}}));
  EXPECT_EQ(records_of(reader_of("", no_header())), Records{});
}

TEST(CsvReader, EmptyLinesArePassedOverUnlessRecordsHaveOneField) {
  EXPECT_EQ(records_of(reader_of("a,b\n\nc,d\n\n", no_header())), (Records{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(records_of(reader_of("a\n\nb\n", no_header())), (Records{{"a"}, {""}, {"b"}}));
}

TEST(CsvReader, TsvTakesQuotesAsText) {
  EXPECT_EQ(records_of(reader_of("q\ttext\n\"1\tsay \"hi\", he said\n", CsvOptions::tsv())),
            (Records{{"\"1", "say \"hi\", he said"}}));
  EXPECT_EQ(records_of(reader_of("ab\"c,d\n", no_header())), (Records{{"ab\"c", "d"}}));
}

TEST(CsvReader, OtherCountOfFieldsNamesBoth) {
  EXPECT_EQ(error_of([] { records_of(reader_of("a,b\n1,2\n1,2,3\n")); }),
            "x.csv, line 3: 3 fields, but the header names 2; put quotes around a field that holds a separator");
  expect_error("x.csv, line 2: 1 fields, but the first record has 2",
               [] { records_of(reader_of("1,2\n1\n", no_header())); });
}

TEST(CsvReader, QuoteThatIsNeverClosedNamesTheLineItOpensOn) {
  expect_error("x.csv, line 3: the quote that opens here is never closed",
               [] { records_of(reader_of("a,b\n1,2\n3,\"open\nmore\nmore\n")); });
  CsvOptions options;
  options.lines.longest = 100;
  std::string text = "a,b\n1,\"open\n";
  for (int i = 0; i < 100; ++i) text += "some more\n";
  expect_error("x.csv, line 2: the quote that opens here is not closed within 100 bytes",
               [&] { records_of(reader_of(text, options)); });
}

TEST(CsvReader, TextAfterAClosingQuoteIsAnError) {
  expect_error("x.csv, line 2: text follows the closing quote of field 2",
               [] { records_of(reader_of("a,b\n1,\"x\"y\n")); });
}

TEST(CsvReader, UnknownColumnNamesThoseThereAre) {
  expect_error("x.csv: no column is named \"txt\"; the header has: label, text",
               [] { reader_of("label,text\n").column("txt"); });
}

TEST(CsvReader, GoesOnAtAPlaceWithItsHeader) {
  const TestFolder folder;
  const std::string text = "a,b\n1,\"x\ny\"\n2,z\n3,w\n";
  for (const bool header : {true, false}) {
    CsvOptions options;
    options.header = header;
    for (const auto& path : {put(folder / "plain", text), put(folder / "packed", gzip(text))}) {
      CsvReader first(path, options);
      ASSERT_TRUE(first.next());
      CsvReader second(path, options, first.place());
      EXPECT_EQ(second.header(), first.header());
      ASSERT_TRUE(first.next());
      ASSERT_TRUE(second.next());
      EXPECT_EQ(second[1], first[1]);
      EXPECT_EQ(second.line(), first.line());
      EXPECT_EQ(second.place(), first.place());
    }
  }
}

struct Total {
  std::size_t records = 0;
  std::int64_t characters = 0;  // of the last field
};

Total total_of(const std::filesystem::path& path, std::size_t columns, CsvOptions options) {
  Total total;
  CsvReader reader(path, options);
  while (reader.next()) {
    EXPECT_EQ(reader.size(), columns);
    ++total.records;
    total.characters += utf8_length(reader[columns - 1]);
  }
  return total;
}

// Counts as Python's csv module gives them.
TEST(CsvReader, ReadsTheReviewsWhole) {
  const auto reviews = shared_file("classification/chnsenticorp_htl/train.csv.gz");
  SKIP_WITHOUT(reviews);
  const Total total = total_of(reviews, 2, {});
  EXPECT_EQ(total.records, 6990u);
  EXPECT_EQ(total.characters, 898'174 - 6);
}

TEST(CsvReader, ReadsTheNewsWhole) {
  const auto news = shared_file("classification/ag_news/rows_0001-6000.csv.gz");
  SKIP_WITHOUT(news);
  const Total total = total_of(news, 3, no_header());
  EXPECT_EQ(total.records, 6000u);
  EXPECT_EQ(total.characters, 1'158'179);
}

TEST(CsvReader, ReadsTheTakeawayReviewsWhole) {
  const auto reviews = shared_file("classification/waimai_10k/train.csv.gz");
  SKIP_WITHOUT(reviews);
  const Total total = total_of(reviews, 2, {});
  EXPECT_EQ(total.records, 10'789u);
  EXPECT_EQ(total.characters, 269'618 - 6);
}

}  // namespace
}  // namespace heed
