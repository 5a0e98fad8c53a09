# A short front for meson and the scripts in tools/. `make help` lists what there is.
BUILD ?= build
PYTHON := /usr/bin/python3
prefix ?= /usr
TIME ?= 60
export TIDEGATE_BUILD := $(abspath $(BUILD))

all: $(BUILD)/release/build.ninja
	ninja -C $(BUILD)/release

$(BUILD)/release/build.ninja: | deps
	meson setup $(BUILD)/release -Dprefix=$(prefix)

deps:
	@tools/deps

run: all
	$(PYTHON) tools/demo $(if $(KEEP),--keep)

check: deps
	$(PYTHON) tools/check

install: all
	meson configure $(BUILD)/release -Dprefix=$(prefix)
	DESTDIR=$(DESTDIR) meson install -C $(BUILD)/release --no-rebuild

bench: all
	bench/run

bench-spf: all
	bench/spf

fuzz: deps
	tools/fuzz $(TIME)

soak: all
	$(PYTHON) tools/soak

format:
	git ls-files '*.[ch]' | xargs clang-format -i

tidy: all
	git ls-files 'src/*.c' 'apps/*.c' | xargs clang-tidy --quiet -p $(BUILD)/release

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            install what is missing, build'
	@echo 'make run        the main job on embedded defaults: a real Exim, the relay, a destination (KEEP=1 keeps them up)'
	@echo 'make check      all tests, ends with "N passed, N failed, N skipped"'
	@echo 'make install    DESTDIR= prefix='
	@echo 'make bench-spf  evaluations of SPF against pyspf and libspf2'
	@echo 'make bench      figures against peers   make fuzz TIME=seconds   make soak   make format   make tidy   make clean'

.PHONY: all deps run check install bench bench-spf fuzz soak format tidy clean help
