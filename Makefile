# A thin front: meson and ninja do the work. "make" builds into build/, where everything runs
# uninstalled; "make demo" shows what Catena does; "make check" runs every check.
BUILD    := build
LIST     := packaging/debian-12.txt
LISTS    := $(LIST) packaging/debian-12-check.txt
NAME     ?=
SECONDS  ?= 60
DEMO     ?=

.PHONY: all demo check deps bench fuzz soak install docs format clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@packaging/deps check $(LIST)
	meson setup $(BUILD)

# Everything that a fresh Debian 12 lacks; the others below call it where they must.
deps:
	@packaging/deps install $(LISTS)

# Only the programs: the tests would double the time of a first build.
demo:
	@packaging/deps install $(LIST)
	@$(MAKE) --no-print-directory -s $(BUILD)/build.ninja
	@ninja -C $(BUILD) programs
	@$(BUILD)/catena demo $(DEMO)

check:
	@packaging/deps install $(LISTS)
	@tests/lib/check $(STEPS)

bench: all
	@tests/lib/bench $(BUILD)/catena $(NAME)

# make fuzz NAME=evlog-tcglog SECONDS=60; without a NAME every target, one after another.
fuzz:
	@tests/lib/fuzz --seconds $(SECONDS) $(NAME)

# The long tests, every fuzz target for ten minutes, clang's analyzer at length: hours. It says how
# many. make soak STEPS="crash-long restart-long" runs some of it, NAME=evlog-tcglog fuzzes that alone.
soak:
	@packaging/deps install $(LISTS)
	@tests/lib/soak $(addprefix --name ,$(NAME)) $(STEPS)

install: all
	@meson install -C $(BUILD)

docs: all
	@tests/lib/docs $(BUILD)/catena .

format:
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

clean:
	rm -rf build build-check build-fuzz
