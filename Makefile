# The ways into heed. The build itself is CMake's: see CMakePresets.json for the others (dev, asan, tsan, scalar).
# quickstart and test share build/release, so neither builds again what the other has built.
jobs ?= $(shell nproc)
build := build/release
sources = $(shell find include src tests bench examples fuzz -name '*.h' -o -name '*.cpp')

.PHONY: help quickstart build test bench format lint build-packages lint-packages configure
help:
	@echo "make quickstart   build the command, train a small translator in about a minute, and try it"
	@echo "make test         build everything and run every test"
	@echo "make build        build everything: the command is $(build)/heed"
	@echo "make bench        measure the machine and heed on it"
	@echo "make format       bring the code into its form"
	@echo "make lint         check the form and look for mistakes"

build-packages:
	@tools/install_packages build

lint-packages:
	@tools/install_packages build lint

configure: build-packages
	@echo "configure $(build)"
	@cmake --preset release --log-level=WARNING >/dev/null

build: configure
	@echo "build everything with $(jobs) jobs"
	@cmake --build --preset release -j $(jobs)

quickstart: configure
	@echo "build the command with $(jobs) jobs"
	@cmake --build --preset release -j $(jobs) --target heed_command
	@$(build)/heed quickstart

test: build
	@echo "test"
	@ctest --preset release -j 2  # tests use threads themselves

bench: configure
	@echo "build the command with $(jobs) jobs"
	@cmake --build --preset release -j $(jobs) --target heed_command
	@$(build)/heed bench

format: lint-packages
	@clang-format -i $(sources)

# Its own folder: Clang reads none of GCC's precompiled headers.
lint: lint-packages
	@cmake -G Ninja -B build/lint -DCMAKE_BUILD_TYPE=Release -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON --log-level=WARNING >/dev/null
	@echo "check the form"
	@clang-format --dry-run -Werror $(sources)
	@echo "check which room includes which"
	@tools/check_rooms
	@echo "look for mistakes (minutes)"
	@find src -name '*.cpp' | xargs -n 1 -P $(jobs) clang-tidy -p build/lint --quiet --extra-arg=-Wno-unknown-warning-option
