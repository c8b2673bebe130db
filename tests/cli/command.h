#pragma once
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace heed::testing {

struct Result {
  int exit_code = -1;
  std::string out, err;
};

/// A folder of the test's own, removed with it; commands run inside it.
class Workplace {
 public:
  Workplace() {
    std::string name = (std::filesystem::temp_directory_path() / "heed-cli-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Workplace() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  /// Runs `heed ARGUMENTS` through the shell.
  Result heed(const std::string& arguments, const std::string& before = "") const {
    const std::string command = "cd '" + path_.string() + "' && " + before + " '" HEED_COMMAND "' " + arguments +
                                " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read("out.txt"), read("err.txt")};
  }

 private:
  std::filesystem::path path_;
};

/// A recipe of a tiny language model over characters; `more` follows in [training].
inline std::string tiny_language_model(const std::string& file, const std::string& more = "steps = 30") {
  return "task = \"language-model\"\n[data]\ntrain = \"" + file +
         "\"\nvalidation_split = 0.2\n[vocabulary]\nkind = \"character\"\n"
         "[batch]\nsequences = 4\ncontext = 16\n[model]\nkind = \"decoder\"\nwidth = 16\nheads = 2\nlayers = "
         "1\ncontext = 32\n"
         "dropout = 0.0\n[training]\nrate = 0.01\n" +
         more + "\n";
}

inline std::string tiny_text() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "the cat sat on the mat.\n";
  return text;
}

}  // namespace heed::testing
