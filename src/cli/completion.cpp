#include <cstdio>

#include "cli/commands.h"

namespace heed::cli {

namespace {

/// The long options of a verb, and its short help for shells that show it.
std::string options_of(const CLI::App& verb) {
  std::string words;
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  return words;
}

void print_bash(const CLI::App& app) {
  std::string verbs, cases;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    verbs += (verbs.empty() ? "" : " ") + verb->get_name();
    cases += "    " + verb->get_name() + ") words=\"" + options_of(*verb) + "\" ;;\n";
  }
  std::printf(R"(# bash completion of heed: source <(heed completion bash)
_heed() {
  local word="${COMP_WORDS[COMP_CWORD]}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "%s --help --version" -- "$word"))
    return
  fi
  case "${COMP_WORDS[1]}" in
%s  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _heed heed
)",
              verbs.c_str(), cases.c_str());
}

void print_zsh(const CLI::App& app) {
  std::printf(
      "#compdef heed\n# zsh completion of heed: heed completion zsh > \"${fpath[1]}/_heed\"\n_heed() {\n  local -a "
      "verbs\n  verbs=(\n");
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    std::printf("    '%s:%s'\n", verb->get_name().c_str(),
                verb->get_description().substr(0, verb->get_description().find(':')).c_str());
  std::printf("  )\n  if (( CURRENT == 2 )); then _describe 'verb' verbs; return; fi\n  case \"${words[2]}\" in\n");
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    std::printf("    %s) compadd -- %s ;;\n", verb->get_name().c_str(), options_of(*verb).c_str());
  std::printf("  esac\n  _files\n}\n_heed \"$@\"\n");
}

void print_fish(const CLI::App& app) {
  std::printf("# fish completion of heed: heed completion fish | source\n");
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::printf("complete -c heed -n __fish_use_subcommand -a %s -d '%s'\n", verb->get_name().c_str(),
                verb->get_description().substr(0, verb->get_description().find(':')).c_str());
    for (const CLI::Option* option : verb->get_options())
      for (const std::string& name : option->get_lnames())
        std::printf("complete -c heed -n '__fish_seen_subcommand_from %s' -l %s\n", verb->get_name().c_str(),
                    name.c_str());
  }
}

}  // namespace

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  verb->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([shell, &app] {
    if (*shell == "bash") print_bash(app);
    if (*shell == "zsh") print_zsh(app);
    if (*shell == "fish") print_fish(app);
  });
}

}  // namespace heed::cli
