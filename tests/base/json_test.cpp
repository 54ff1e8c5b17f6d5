#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Json, ParseErrorsNameTheLine) {
  EXPECT_EQ(parse_json("{\"a\": [1, 2]}", "x")["a"][1], 2);
  EXPECT_THAT(error_of([] { parse_json("{\"a\": 1,\n \"b\" 2}", "config.json"); }),
              AllOf(HasSubstr("config.json: line 2, column 6: not valid JSON"), HasSubstr("':'")));
  EXPECT_THAT(error_of([] { parse_json("{\"a\"", "file, line 7"); }),
              HasSubstr("file, line 7: column 5: not valid JSON"));
  EXPECT_THAT(error_of([] { parse_json(" \n", "f"); }), HasSubstr("f: empty"));
  EXPECT_THAT(error_of([] { parse_json("[1e999]", "f"); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of([] { parse_json("\"\xff\"", "f"); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of([] { parse_json("[NaN]", "f"); }), HasSubstr("not valid JSON"));
}

TEST(Json, DeepNestingIsRefused) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(256), "f"));
  EXPECT_THAT(error_of([&] { parse_json(nested(257), "f"); }), HasSubstr("nested deeper than 256"));
  EXPECT_THAT(error_of([] { parse_json(std::string(1000000, '['), "f"); }),
              HasSubstr("column 257"));
  // Brackets in strings, also behind an escaped quote, do not nest.
  EXPECT_NO_THROW(parse_json("[\"\\\"" + std::string(1000, '[') + "\"]", "f"));
}

TEST(Json, DumpIsAlwaysValidJson) {
  OrderedJson value;
  value["z"] = std::nan("");
  value["a"] = std::numeric_limits<double>::infinity();
  value["text"] = "half \xe2\x82 a character\n";
  EXPECT_EQ(dump_json(value),
            "{\"z\":null,\"a\":null,\"text\":\"half \xef\xbf\xbd a character\\n\"}");
  EXPECT_EQ(dump_json(Json(0.1)), "0.1");
}

TEST(JsonLineReader, SplitsAtNewlinesAloneAndCountsBlankLines) {
  TemporaryDirectory directory;
  const std::string path = directory / "lines.jsonl";
  // U+2028 and a carriage return end no line; the last line has no newline.
  write_file_atomically(path, "1\n\n \r\n{\"a\":\"\xe2\x80\xa8\"}\r\n[\n3");
  JsonLineReader reader(path);
  Json value;
  ASSERT_TRUE(reader.next(value));
  EXPECT_EQ(value, 1);
  EXPECT_EQ(reader.line(), 1);
  EXPECT_EQ(reader.end_of_line(), 2u);
  ASSERT_TRUE(reader.next(value));
  EXPECT_EQ(value["a"], "\xe2\x80\xa8");
  EXPECT_EQ(reader.where(), path + ", line 4");
  EXPECT_THAT(error_of([&] { reader.next(value); }), HasSubstr(path + ", line 5: column"));
  ASSERT_TRUE(reader.next(value));
  EXPECT_EQ(value, 3);
  EXPECT_EQ(reader.end_of_line(), file_system().file_size(path));
  EXPECT_FALSE(reader.next(value));
  EXPECT_FALSE(reader.next(value));
}

// Lines of every length around the reader's chunk size, against the values that were written.
TEST(JsonLineReader, LinesOfAnyLength) {
  TemporaryDirectory directory;
  std::string text;
  std::vector<std::string> values;
  for (const size_t length : {0, 1, 65532, 65533, 65534, 65535, 65536, 300000, 7}) {
    values.push_back(std::string(length, 'x'));
    text += dump_json(Json(values.back())) + "\n";
  }
  write_file_atomically(directory / "f", text);
  JsonLineReader reader(directory / "f");
  Json value;
  for (const std::string& expected : values) {
    ASSERT_TRUE(reader.next(value));
    EXPECT_EQ(value.get<std::string>(), expected);
  }
  EXPECT_FALSE(reader.next(value));
}

TEST(Json, TypedAccess) {
  const Json object = parse_json(
      R"({"i": -3, "f": 2.5, "whole": 4.0, "big": 9223372036854775808, "b": true, "s": "x",
          "none": null, "list": [1, 2.0], "names": ["a", "b"], "o": {}})",
      "f");
  EXPECT_EQ(get_int(object, "i", "f"), -3);
  EXPECT_EQ(get_int(object, "whole", "f"), 4);
  EXPECT_EQ(get_double(object, "i", "f"), -3.0);
  EXPECT_TRUE(get_bool(object, "b", "f"));
  EXPECT_EQ(get_string(object, "s", "f"), "x");
  EXPECT_THAT(get_ints(object, "list", "f"), ElementsAre(1, 2));
  EXPECT_THAT(get_doubles(object, "list", "f"), ElementsAre(1.0, 2.0));
  EXPECT_THAT(get_strings(object, "names", "f"), ElementsAre("a", "b"));
  EXPECT_EQ(get_object(object, "o", "f").size(), 0u);
  EXPECT_EQ(get_int_or(object, "absent", 7, "f"), 7);
  EXPECT_EQ(get_int_or(object, "none", 7, "f"), 7);
  EXPECT_EQ(get_double_or(object, "f", 0, "f"), 2.5);
  EXPECT_EQ(get_bool_or(object, "none", true, "f"), true);
  EXPECT_EQ(get_string_or(object, "absent", "y", "f"), "y");
  EXPECT_FALSE(has_key(object, "none"));
}

TEST(Json, AccessErrorsNameKeyAndWhatWasFound) {
  const Json object =
      parse_json(R"({"f": 2.5, "big": 9223372036854775808, "s": "text", "list": [1, "a"]})", "f");
  EXPECT_THAT(error_of([&] { get_int(object, "f", "data.jsonl, line 3"); }),
              HasSubstr("data.jsonl, line 3: \"f\" must be an integer, but is 2.5"));
  EXPECT_THAT(error_of([&] { get_int(object, "big", "f"); }), HasSubstr("9223372036854775808"));
  EXPECT_THAT(error_of([&] { get_int(object, "absent", "f"); }),
              HasSubstr("f: \"absent\" is missing"));
  EXPECT_THAT(error_of([&] { get_double(object, "s", "f"); }),
              HasSubstr("must be a number, but is the string \"text\""));
  EXPECT_THAT(error_of([&] { get_bool(object, "f", "f"); }), HasSubstr("must be true or false"));
  EXPECT_THAT(error_of([&] { get_string(object, "list", "f"); }),
              HasSubstr("must be a string, but is an array of 2"));
  EXPECT_THAT(error_of([&] { get_array(object, "s", "f"); }), HasSubstr("must be an array"));
  EXPECT_THAT(error_of([&] { get_object(object, "s", "f"); }), HasSubstr("must be an object"));
  EXPECT_THAT(error_of([&] { get_ints(object, "list", "f"); }),
              HasSubstr("\"list\"[1] must be an integer"));
  EXPECT_THAT(error_of([&] { get_int(Json(3), "a", "f"); }),
              HasSubstr("an object with \"a\" was expected, but this is 3"));
}

}  // namespace
}  // namespace treepo
