#include <heed/error.h>

#include <algorithm>
#include <cstring>

#include "formats/file.h"
#include "formats/word_vectors_source.h"

namespace heed {

namespace {

/// Reads little-endian numbers and strings one after the other; each must lie within the file.
class Cursor {
 public:
  Cursor(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  template <class T>
  T number(const char* what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string_view text(const char* what) {
    const std::size_t end = bytes_.find('\0', at_);
    if (end == std::string_view::npos) need(bytes_.size() - at_ + 1, what);
    const std::string_view found = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }
  const char* take(std::size_t count, const char* what) {
    need(count, what);
    at_ += count;
    return bytes_.data() + at_ - count;
  }
  std::size_t left() const { return bytes_.size() - at_; }

 private:
  void need(std::size_t count, const char* what) const {
    if (count > left())
      throw Error("{}: the fastText model is truncated: {} needs {} bytes at byte {}, the file has {}", name_, what,
                  count, at_, bytes_.size());
  }

  std::string_view bytes_;
  const std::string& name_;
  std::size_t at_ = 0;
};

/// FNV-1a over bytes widened with their sign, as fastText hashes n-grams.
std::uint32_t hash_of(std::string_view text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<std::uint32_t>(static_cast<std::int8_t>(c))) * 16777619u;
  return hash;
}

/// With what a model was trained, as it lies in the file.
struct Arguments {
  std::int32_t width, window, epochs, least_count, negatives, word_ngrams, loss, model, buckets, shortest_ngram,
      longest_ngram, rate_updates;
  double sampling;
};
static_assert(sizeof(Arguments) == 56);

bool has_magic(std::string_view start) {
  constexpr std::int32_t magic = 793712314;
  std::int32_t found = 0;
  if (start.size() >= sizeof(found)) std::memcpy(&found, start.data(), sizeof(found));
  return found == magic;
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

class FastText final : public WordVectors::Source {
 public:
  explicit FastText(const std::filesystem::path& path) : file_(path) {
    if (file_.bytes().starts_with("\x1f\x8b"))
      throw Error("{}: a fastText model is mapped and cannot be gzipped; unpack it first", file_.name());
    Cursor cursor(file_.bytes(), file_.name());
    if (has_magic(file_.bytes())) {
      cursor.number<std::int32_t>("the magic number");
      version_ = cursor.number<std::int32_t>("the version");
      if (version_ < 11 || version_ > 12)
        throw Error("{}: a fastText model of version {}; 11, 12 and those before versions were counted are known",
                    file_.name(), version_);
    }
    read_arguments(cursor);
    read_dictionary(cursor);
    read_matrix(cursor);
  }

  bool find(std::string_view word, std::span<float> to) const override {
    std::fill(to.begin(), to.end(), 0.0f);
    std::int64_t rows = 0;
    const auto add = [&](std::int64_t row) {
      const char* from = matrix_ + static_cast<std::size_t>(row) * static_cast<std::size_t>(width) * sizeof(float);
      for (float& sum : to) {
        float value;
        std::memcpy(&value, from, sizeof(value));
        sum += value;
        from += sizeof(value);
      }
      ++rows;
    };
    if (const auto own = number(word)) add(static_cast<std::int64_t>(*own));
    // The first models treat the end of a line as any word.
    if (version_ == 0 || word != "</s>") visit_ngrams("<" + std::string(word) + ">", add);
    if (rows == 0) return false;
    for (float& sum : to) sum /= static_cast<float>(rows);
    return true;
  }

 private:
  void read_arguments(Cursor& cursor) {
    const auto arguments = cursor.number<Arguments>("the arguments");
    width = arguments.width;
    buckets_ = arguments.buckets;
    shortest_ = arguments.shortest_ngram;
    // Models of version 11 that classify were made without subwords, whatever they say.
    constexpr std::int32_t supervised = 3;
    longest_ = version_ == 11 && arguments.model == supervised ? 0 : arguments.longest_ngram;
    if (width < 1 || width > std::int64_t{1} << 20 || buckets_ < 0 || shortest_ < 0 || longest_ < 0)
      throw Error("{}: a fastText model of width {} with {} n-grams of {} to {} characters; the file is altered",
                  file_.name(), width, buckets_, shortest_, longest_);
  }

  void read_dictionary(Cursor& cursor) {
    const auto entries = cursor.number<std::int32_t>("the dictionary");
    words_ = cursor.number<std::int32_t>("the dictionary");
    const auto labels = cursor.number<std::int32_t>("the dictionary");
    cursor.number<std::int64_t>("the dictionary");
    const auto pruned = version_ > 0 ? cursor.number<std::int64_t>("the dictionary") : -1;
    if (words_ < 1 || labels < 0 || entries != words_ + labels)
      throw Error("{}: a fastText dictionary of {} words, {} labels and {} entries; the file is altered", file_.name(),
                  words_, labels, entries);
    for (std::int64_t i = 0; i < entries; ++i) {
      std::string word(cursor.text("the dictionary"));
      cursor.number<std::int64_t>("the dictionary");
      cursor.number<std::int8_t>("the dictionary");
      if (i < words_ && !add(std::move(word)))
        throw Error("{}: the fastText dictionary has a word twice, as word {}; the file is altered", file_.name(),
                    i + 1);
    }
    // A pruned model keeps some of its n-grams only, under other numbers.
    pruned_ = pruned >= 0;
    for (std::int64_t i = 0; i < pruned; ++i) {
      const auto from = cursor.number<std::int32_t>("the list of n-grams");
      kept_[from] = cursor.number<std::int32_t>("the list of n-grams");
    }
  }

  void read_matrix(Cursor& cursor) {
    if (version_ > 0 && cursor.number<std::int8_t>("the matrix") != 0)
      throw Error("{}: a quantised fastText model (.ftz); the .bin it was made from is needed", file_.name());
    rows_ = cursor.number<std::int64_t>("the matrix");
    const auto columns = cursor.number<std::int64_t>("the matrix");
    if (columns != width)
      throw Error("{}: the fastText matrix is {} wide, and the model says {}; the file is altered", file_.name(),
                  columns, width);
    if (rows_ < words_ || (!pruned_ && longest_ > 0 && rows_ < words_ + buckets_))
      throw Error("{}: the fastText matrix has {} rows for {} words and {} n-grams; the file is altered", file_.name(),
                  rows_, words_, buckets_);
    if (rows_ > static_cast<std::int64_t>(cursor.left()) / width / static_cast<std::int64_t>(sizeof(float)))
      throw Error("{}: the fastText model is truncated: {} vectors of width {} need more than the {} bytes left",
                  file_.name(), rows_, width, cursor.left());
    matrix_ = cursor.take(static_cast<std::size_t>(rows_ * width) * sizeof(float), "the matrix");
  }

  /// Calls add(row) for each n-gram of characters of a word in angle brackets.
  template <class Add>
  void visit_ngrams(const std::string& word, Add add) const {
    if (buckets_ == 0) return;
    for (std::size_t begin = 0; begin < word.size(); ++begin) {
      if (continues(word[begin])) continue;
      std::size_t end = begin;
      for (std::int64_t characters = 1; end < word.size() && characters <= longest_; ++characters) {
        for (++end; end < word.size() && continues(word[end]);) ++end;
        // The brackets by themselves are no n-grams.
        if (characters < shortest_ || (characters == 1 && (begin == 0 || end == word.size()))) continue;
        std::int64_t bucket =
            hash_of(std::string_view(word).substr(begin, end - begin)) % static_cast<std::uint32_t>(buckets_);
        if (pruned_) {
          const auto kept = kept_.find(static_cast<std::int32_t>(bucket));
          if (kept == kept_.end()) continue;
          bucket = kept->second;
        }
        if (bucket >= 0 && words_ + bucket < rows_) add(words_ + bucket);
      }
    }
  }

  MappedFile file_;
  std::int32_t version_ = 0;  // 0: before versions were counted
  std::int64_t buckets_ = 0, shortest_ = 0, longest_ = 0, words_ = 0, rows_ = 0;
  bool pruned_ = false;
  std::unordered_map<std::int32_t, std::int32_t> kept_;
  const char* matrix_ = nullptr;
};

}  // namespace

bool is_fasttext(std::string_view start) {
  if (has_magic(start)) return true;
  // The first models had no magic number; but no text starts with such arguments.
  Arguments arguments;
  if (start.size() < sizeof(arguments)) return false;
  std::memcpy(&arguments, start.data(), sizeof(arguments));
  const auto one_of_three = [](std::int32_t choice) { return choice >= 1 && choice <= 3; };
  return arguments.width >= 1 && arguments.width < 1 << 20 && one_of_three(arguments.loss) &&
         one_of_three(arguments.model) && arguments.sampling >= 0 && arguments.sampling <= 1;
}

std::shared_ptr<const WordVectors::Source> load_fasttext(const std::filesystem::path& path) {
  return std::make_shared<FastText>(path);
}

}  // namespace heed
