#include "lib/test.h"
#include "vmm/accel.h"

#define NO_INPUT ACCEL_IN_COUNT

/* One start, up to two inputs, and what must come out of each. */
static const struct {
        const char *name;
        enum accel_choice choice;
        enum accel_memory memory;
        bool kvm_usable;
        struct accel_output start;
        struct {
                enum accel_input input;
                struct accel_output output;
        } steps[2];
} rows[] = {
    {"tcg configured",
     ACCEL_TCG,
     ACCEL_KVM_WORKS,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_TCG, 0, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_STARTUP, {0}}, {ACCEL_IN_ENDED, {0}}}},
    {"auto without a device",
     ACCEL_AUTO,
     ACCEL_UNKNOWN,
     false,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_TCG, 0, ACCEL_UNKNOWN, "says why"},
     {{ACCEL_IN_ENDED, {0}}, {NO_INPUT, {0}}}},
    {"auto, remembered to fail",
     ACCEL_AUTO,
     ACCEL_KVM_FAILS,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_TCG, 0, ACCEL_UNKNOWN, "says why"},
     {{ACCEL_IN_TIMER, {0}}, {NO_INPUT, {0}}}},
    {"auto, guest starts",
     ACCEL_AUTO,
     ACCEL_UNKNOWN,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, ACCEL_PROBE_MS, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_STARTUP, {ACCEL_DO_NOTHING, VMM_ACCEL_KVM, 0, ACCEL_KVM_WORKS, NULL}},
      {ACCEL_IN_TIMER, {0}}}},
    {"auto, guest starts and later ends",
     ACCEL_AUTO,
     ACCEL_KVM_WORKS,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, ACCEL_PROBE_MS, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_STARTUP, {ACCEL_DO_NOTHING, VMM_ACCEL_KVM, 0, ACCEL_KVM_WORKS, NULL}},
      {ACCEL_IN_ENDED, {0}}}},
    {"auto, guest hangs",
     ACCEL_AUTO,
     ACCEL_UNKNOWN,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, ACCEL_PROBE_MS, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_TIMER, {ACCEL_DO_RESTART, VMM_ACCEL_TCG, 0, ACCEL_KVM_FAILS, "says why"}},
      {ACCEL_IN_ENDED, {0}}}},
    {"auto, QEMU ends or reports an internal error",
     ACCEL_AUTO,
     ACCEL_UNKNOWN,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, ACCEL_PROBE_MS, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_ENDED, {ACCEL_DO_RESTART, VMM_ACCEL_TCG, 0, ACCEL_KVM_FAILS, "says why"}},
      {ACCEL_IN_TIMER, {0}}}},
    {"it worked before and does no longer",
     ACCEL_AUTO,
     ACCEL_KVM_WORKS,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, ACCEL_PROBE_MS, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_TIMER, {ACCEL_DO_RESTART, VMM_ACCEL_TCG, 0, ACCEL_KVM_FAILS, "says why"}},
      {ACCEL_IN_STARTUP, {0}}}},
    {"kvm configured, no device",
     ACCEL_KVM,
     ACCEL_UNKNOWN,
     false,
     {ACCEL_DO_FAIL, VMM_ACCEL_TCG, 0, ACCEL_UNKNOWN, "says why"},
     {{ACCEL_IN_ENDED, {0}}, {NO_INPUT, {0}}}},
    {"kvm configured is never replaced",
     ACCEL_KVM,
     ACCEL_KVM_FAILS,
     true,
     {ACCEL_DO_LAUNCH, VMM_ACCEL_KVM, 0, ACCEL_UNKNOWN, NULL},
     {{ACCEL_IN_TIMER, {0}},
      {ACCEL_IN_ENDED, {ACCEL_DO_FAIL, VMM_ACCEL_TCG, 0, ACCEL_UNKNOWN, "says why"}}}},
};

static void expect(const char *name, const struct accel_output *got,
                   const struct accel_output *wanted)
{
        if (got->action != wanted->action || got->accel != wanted->accel ||
            got->timer_ms != wanted->timer_ms || got->memory != wanted->memory ||
            (got->reason == NULL) != (wanted->reason == NULL))
                fail_msg("%s: action %d, accelerator %d, timer %u, memory %d, reason %s", name,
                         (int)got->action, (int)got->accel, got->timer_ms, (int)got->memory,
                         got->reason == NULL ? "none" : got->reason);
}

static void decides(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct accel accel;
                struct accel_output out =
                    accel_start(&accel, rows[i].choice, rows[i].memory, rows[i].kvm_usable);

                expect(rows[i].name, &out, &rows[i].start);
                for (size_t k = 0; k < 2 && rows[i].steps[k].input != NO_INPUT; k++) {
                        out = accel_feed(&accel, rows[i].steps[k].input);
                        expect(rows[i].name, &out, &rows[i].steps[k].output);
                }
        }
}

static void knows_its_names(void **state)
{
        enum accel_choice choice = ACCEL_AUTO;

        (void)state;
        assert_true(accel_choice_from_name("tcg", &choice));
        assert_int_equal(choice, ACCEL_TCG);
        assert_true(accel_choice_from_name("kvm", &choice));
        assert_int_equal(choice, ACCEL_KVM);
        assert_false(accel_choice_from_name("", &choice));
        assert_false(accel_choice_from_name("KVM", &choice));
        assert_int_equal(choice, ACCEL_KVM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(decides),
            cmocka_unit_test(knows_its_names),
        };
        return cmocka_run_group_tests_name("vmm-accel", tests, NULL, NULL);
}
