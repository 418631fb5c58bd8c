/*
 * Group commit: told only when durable, in a loop that is never idle, and while the disk fails
 * (D-FULL, D-EIO, D-SHORT).
 */
#include <limits.h>

#include "base/fs.h"
#include "lib/faultvfs.h"
#include "lib/test.h"
#include "store/store-vfs.h"
#include "tcb/commit.h"

struct rig {
        sd_event *event;
        struct store *store;
        struct commit *commit;
        unsigned told;
        uint64_t last;
        unsigned turns; /* of the source that is always busy */
};

static void set_up(struct rig *rig, const char *name)
{
        struct secret AUTO_SECRET *key = NULL;
        char path[PATH_MAX];
        struct err err = {0};

        *rig = (struct rig){0};
        assert_ok(fs_join(path, sizeof(path), test_dir(), name, &err), &err);
        assert_true(sd_event_new(&rig->event) >= 0);
        assert_ok(secret_new_random(STORE_KEY_LEN, &key, &err), &err);
        assert_ok(store_open_vfs(path, FAULTVFS_NAME, &rig->store, &err), &err);
        assert_ok(store_unlock(rig->store, key, &err), &err);
        assert_ok(commit_new(rig->event, rig->store, &rig->commit, &err), &err);
}

static void tear_down(struct rig *rig)
{
        faultvfs_heal();
        commit_free(rig->commit);
        store_close(rig->store);
        sd_event_unref(rig->event);
}

static void tell(void *user, uint64_t value)
{
        struct rig *rig = user;

        rig->told++;
        rig->last = value;
        (void)sd_event_exit(rig->event, 0);
}

static void change(struct rig *rig, uint64_t value)
{
        struct err err = {0};

        assert_ok(commit_begin(rig->commit, &err), &err);
        assert_ok(store_put_record(rig->store, "r",
                                   (struct bytes){(const uint8_t *)&value, sizeof(value)}, &err),
                  &err);
        assert_ok(commit_then(rig->commit, tell, rig, value, &err), &err);
}

static void turn(struct rig *rig, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                assert_true(sd_event_run(rig->event, 20000) >= 0);
}

static void tells_after_the_commit_and_once(void **state)
{
        struct rig rig;

        (void)state;
        set_up(&rig, "once.db");
        for (uint64_t i = 1; i <= 3; i++)
                change(&rig, i);
        assert_int_equal(rig.told, 0);
        assert_true(sd_event_loop(rig.event) >= 0);
        assert_int_equal(rig.told, 3);
        assert_true(store_generation(rig.store) == 1);
        tear_down(&rig);
}

/* Changes that are under way are neither cut in two nor acknowledged by it. */
static void folding_waits_for_what_is_under_way(void **state)
{
        struct rig rig;
        struct err err = {0};

        (void)state;
        set_up(&rig, "fold.db");
        change(&rig, 1);
        assert_ok(commit_fold(rig.commit, &err), &err);
        assert_true(store_in_transaction(rig.store));
        assert_int_equal(rig.told, 0);
        assert_true(sd_event_loop(rig.event) >= 0);
        assert_int_equal(rig.told, 1);
        assert_ok(commit_fold(rig.commit, &err), &err);
        assert_false(store_in_transaction(rig.store));
        tear_down(&rig);
}

/* G-GUEST: a guest that floods keeps the loop from ever being idle; others' writes go on. */
static int stay_busy(sd_event_source *source, void *user)
{
        struct rig *rig = user;

        (void)source;
        return ++rig->turns == 20000000 ? sd_event_exit(rig->event, 1) : 0;
}

static void commits_in_a_loop_that_is_never_idle(void **state)
{
        sd_event_source *busy = NULL;
        struct rig rig;

        (void)state;
        set_up(&rig, "busy.db");
        assert_true(sd_event_add_defer(rig.event, &busy, stay_busy, &rig) >= 0);
        assert_true(sd_event_source_set_enabled(busy, SD_EVENT_ON) >= 0);
        change(&rig, 1);
        assert_int_equal(sd_event_loop(rig.event), 0);
        assert_int_equal(rig.told, 1);
        sd_event_source_disable_unref(busy);
        tear_down(&rig);
}

/* G-GUEST: of who saves again at once, between the other's change and its being told. */
struct flood {
        struct rig rig;
        unsigned saves;
        unsigned at; /* saves when the other one came */
        unsigned rounds;
};

static void save_again(void *user, uint64_t value);

static void save(struct flood *flood)
{
        struct err err = {0};

        assert_ok(commit_begin(flood->rig.commit, &err), &err);
        assert_ok(store_put_record(flood->rig.store, "flood",
                                   (struct bytes){(const uint8_t *)&flood->saves, 4}, &err),
                  &err);
        assert_ok(commit_then(flood->rig.commit, save_again, flood, 0, &err), &err);
}

static void save_again(void *user, uint64_t value)
{
        struct flood *flood = user;

        (void)value;
        flood->saves++;
        save(flood);
}

static void other_is_told(void *user, uint64_t value)
{
        struct flood *flood = user;

        (void)value;
        assert_in_range(flood->saves - flood->at, 0, 1);
        flood->rounds++;
        flood->at = 0;
}

static void a_flood_of_saves_delays_nobody_by_more_than_one(void **state)
{
        struct flood flood = {.saves = 0};
        struct err err = {0};

        (void)state;
        set_up(&flood.rig, "flood.db");
        save(&flood);
        while (flood.rounds < 50) {
                if (flood.at == 0 && flood.saves > 0) {
                        flood.at = flood.saves;
                        assert_ok(commit_begin(flood.rig.commit, &err), &err);
                        assert_ok(commit_then(flood.rig.commit, other_is_told, &flood, 0, &err),
                                  &err);
                }
                assert_true(sd_event_run(flood.rig.event, 1000000) >= 0);
        }
        assert_true(flood.saves >= 50);
        tear_down(&flood.rig);
}

static void waits_for_a_failing_disk_and_goes_on(void **state)
{
        struct rig rig;

        (void)state;
        for (int kind = 0; kind < FAULT_COUNT; kind++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "fault%d.db", kind);
                set_up(&rig, name);
                faultvfs_arm((enum fault_kind)kind, 1, true);
                change(&rig, 1);
                turn(&rig, 4);
                assert_true(faultvfs_has_struck());
                assert_int_equal(rig.told, 0);
                change(&rig, 2); /* more come while it fails */
                turn(&rig, 2);
                assert_int_equal(rig.told, 0);
                faultvfs_heal();
                assert_true(sd_event_loop(rig.event) >= 0);
                assert_int_equal(rig.told, 2);
                assert_true(rig.last == 2);
                tear_down(&rig);
        }
}

static void forgets_who_went_away(void **state)
{
        struct rig rig;
        struct err err = {0};

        (void)state;
        set_up(&rig, "forget.db");
        change(&rig, 1);
        commit_forget(rig.commit, &rig);
        assert_ok(commit_flush(rig.commit, &err), &err);
        assert_int_equal(rig.told, 0);
        assert_true(store_generation(rig.store) == 1);
        tear_down(&rig);
}

/* A change made by who is just being told belongs to the next commit. */
static void change_again(void *user, uint64_t value)
{
        struct rig *rig = user;

        assert_true(value == 1);
        assert_true(store_generation(rig->store) == 1);
        change(rig, 2);
}

static void who_is_told_may_change_more(void **state)
{
        struct rig rig;
        struct err err = {0};

        (void)state;
        set_up(&rig, "more.db");
        assert_ok(commit_begin(rig.commit, &err), &err);
        assert_ok(store_put_record(rig.store, "a", (struct bytes){(const uint8_t *)"x", 1}, &err),
                  &err);
        assert_ok(commit_then(rig.commit, change_again, &rig, 1, &err), &err);
        assert_true(sd_event_loop(rig.event) >= 0);
        assert_int_equal(rig.told, 1);
        assert_true(store_generation(rig.store) == 2);
        tear_down(&rig);
}

/* Each live vTPM may wait with a save; refusing one would cost its VM its TPM. */
static void a_whole_fleet_waits_for_a_full_disk(void **state)
{
        const unsigned fleet = 20000;
        const uint8_t save[6 << 10] = {0};
        struct rig rig;
        struct err err = {0};

        (void)state;
        set_up(&rig, "fleet.db");
        faultvfs_arm(FAULT_FULL, 1, true);
        for (unsigned i = 0; i < fleet; i++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "r%u", i % 64);
                assert_ok(commit_begin(rig.commit, &err), &err);
                assert_ok(
                    store_put_record(rig.store, name, (struct bytes){save, sizeof(save)}, &err),
                    &err);
                assert_ok(commit_then(rig.commit, tell, &rig, i, &err), &err);
        }
        assert_true(commit_flush(rig.commit, &err) < 0);
        assert_int_equal(rig.told, 0);
        faultvfs_heal();
        assert_ok(commit_flush(rig.commit, &err), &err);
        assert_int_equal(rig.told, fleet);
        tear_down(&rig);
}

static void refuses_more_than_it_can_hold(void **state)
{
        struct rig rig;
        struct err err = {0};
        unsigned n = 0;

        (void)state;
        set_up(&rig, "many.db");
        while (commit_then(rig.commit, tell, &rig, n, &err) == 0)
                n++;
        assert_int_equal(err.code, ERR_LIMIT);
        assert_int_equal(commit_begin(rig.commit, &err), ERR_LIMIT);
        assert_ok(commit_flush(rig.commit, &err), &err);
        assert_int_equal(rig.told, n);
        tear_down(&rig);
}

static int register_vfs(void **state)
{
        (void)state;
        return faultvfs_register();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(tells_after_the_commit_and_once),
            cmocka_unit_test(folding_waits_for_what_is_under_way),
            cmocka_unit_test(commits_in_a_loop_that_is_never_idle),
            cmocka_unit_test(a_flood_of_saves_delays_nobody_by_more_than_one),
            cmocka_unit_test(waits_for_a_failing_disk_and_goes_on),
            cmocka_unit_test(forgets_who_went_away),
            cmocka_unit_test(who_is_told_may_change_more),
            cmocka_unit_test(a_whole_fleet_waits_for_a_full_disk),
            cmocka_unit_test(refuses_more_than_it_can_hold),
        };
        return cmocka_run_group_tests_name("tcb-commit", tests, register_vfs, NULL);
}
