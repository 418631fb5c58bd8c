/*
 * What the relay may send: requests through the real server, dispatch and handlers, on a real
 * store that starts the same each time. No engine ever starts (its path is refused before a fork),
 * and the arbiter is a double. The input is a list of operations; see step().
 *
 * Beyond memory errors it finds requests that are never answered, answers that nobody asked for or
 * that do not decode, and challenges that are not counted down.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "lib/ptpm-double.h"
#include "tcb/listing.h"
#include "tcb/server.h"
#include "tcb/vm.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLACES    16
#define PEERS     2
#define IDS_MAX   256
#define PATIENCE  100 /* times 100 ms until an answer is missed */
#define STEPS_MAX 400

/* Codes of requests end at 255, and these are not given to any. */
enum { OP_RAW = 0xf0, OP_SETTLE, OP_RECONNECT, OP_SWITCH };

static struct tcb tcb;
static char state[64];
static uint8_t *template; /* the database that each input starts from */
static size_t template_len;
static uint64_t template_generation;

static void must(bool good, const char *words)
{
        if (good)
                return;
        (void)fprintf(stderr, "tcb-request: %s\n", words);
        abort();
}

/* The TCB, as tcb_open() puts it together -------------------------------------------------------
 */

static void put_file(const char *name, const void *data, size_t len)
{
        struct err err = {0};
        char path[PATH_MAX];

        must(tcb_config_path(&tcb.config, name, path, &err) == 0 &&
                 fs_write_file(path, data, len, 0600, &err) == 0,
             name);
}

/* libFuzzer ends without atexit(): the places are few, and taken again when their user has gone. */
static void find_place(void)
{
        const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        struct err err = {0};
        int lock = -1;

        for (int i = 0; i < PLACES; i++) {
                (void)snprintf(state, sizeof(state), "%s/catena-fuzz-%u-%d.lock", base, getuid(),
                               i);
                lock = open(state, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
                        break;
                fd_close(&lock);
        }
        must(lock >= 0, "no place for the state");
        *strrchr(state, '.') = '\0';
        (void)!fs_remove_tree(state, &err);
        must(mkdir(state, 0700) == 0, state);
}

static void make_state(void)
{
        static const char *const dirs[] = {"run", "log", "images"};
        struct err err = {0};

        find_place();
        (void)snprintf(tcb.config.state, PATH_MAX, "%s", state);
        (void)snprintf(tcb.config.programs, PATH_MAX, "%s", state);
        (void)snprintf(tcb.config.host_name, sizeof(tcb.config.host_name), "fuzz");
        (void)snprintf(tcb.config.accel, sizeof(tcb.config.accel), "tcg");
        (void)snprintf(tcb.instance_host.engine_path, PATH_MAX, "no-engine");
        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
                char path[PATH_MAX];

                must(tcb_config_path(&tcb.config, dirs[i], path, &err) == 0 &&
                         fs_make_dir(path, 0700, &err) == 0,
                     path);
                tcb.images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        put_file("images/disk.img", "disk", 4);
        put_file("log/web.serial", "console", 7);
}

static void on_lost(void *user, const struct err *err)
{
        (void)user;
        must(false, err->text);
}

static void open_platform(void)
{
        static const uint8_t name[] = {0, 0x0b};
        struct err err = {0};

        must(double_link(state, "catena-arbiter") == 0, "no link");
        must(sd_event_new(&tcb.event) >= 0, "no loop");
        must(ptpm_new(&tcb.config, true, &tcb.ptpm, &err) == 0, err.text);
        must(ptpm_attach(tcb.ptpm, tcb.event, on_lost, NULL, &err) == 0, err.text);
        tcb.keys.ak_pub = wire_text("ak");
        tcb.keys.cek_pub = wire_text("cek");
        tcb.keys.cek_name.len = 34;
        tcb.keys.ak_name.len = 34;
        memcpy(tcb.keys.cek_name.data, name, sizeof(name));
        memcpy(tcb.keys.ak_name.data, name, sizeof(name));
        writer_init(&tcb.measurements.log, 64);
        writer_put(&tcb.measurements.log, "log", 3);
}

static void open_store(void)
{
        static const uint8_t zeros[STORE_KEY_LEN];
        struct secret AUTO_SECRET *key = NULL;
        struct err err = {0};
        char path[PATH_MAX];

        must(tcb_config_path(&tcb.config, "tcb.db", path, &err) == 0 &&
                 store_open(path, &tcb.store, &err) == 0 &&
                 secret_new_copy(zeros, sizeof(zeros), &key, &err) == 0 &&
                 store_unlock(tcb.store, key, &err) == 0,
             err.text);
}

static void open_instances(void)
{
        struct instance_host *host = &tcb.instance_host;
        struct err err = {0};

        must(commit_new(tcb.event, tcb.store, &tcb.commit, &err) == 0, err.text);
        host->event = tcb.event;
        host->store = tcb.store;
        host->commit = tcb.commit;
        host->config = &tcb.config;
        host->measurements = &tcb.measurements;
        must(instance_index_init(&tcb.instances, &err) == 0 &&
                 instances_load(host, &tcb.instances, &err) == 0 && vms_load(&tcb, &err) == 0,
             err.text);
}

/* The part of tcb_close() that goes with one input. */
static void close_instances(void)
{
        struct err err = {0};

        while (tcb.vms != NULL)
                vm_free(tcb.vms);
        must(commit_flush(tcb.commit, &err) == 0, err.text);
        listings_free(&tcb);
        server_free(TAKE(tcb.server));
        while (tcb.instances.first != NULL)
                tcb_forget_instance(&tcb, tcb.instances.first);
        instance_index_done(&tcb.instances);
        commit_free(TAKE(tcb.commit));
}

static void put_instance(uint8_t number, const char *name)
{
        struct security_block block = {.uuid = {number}, .epoch = 1};
        struct store_put put = {
            .uuid = {number}, .kind = STORE_KIND_PERMANENT, .plain = wire_text("state")};
        struct err err = {0};
        char ek[STORE_NAME_MAX + 1];

        (void)snprintf(ek, sizeof(ek), "ek-%02x%030x", number, 0);
        must(store_begin(tcb.store, &err) == 0 &&
                 store_create_instance(tcb.store, name, &block, &err) == 0 &&
                 store_put_blob(tcb.store, &put, &err) == 0 &&
                 store_put_record(tcb.store, ek, wire_text("ek"), &err) == 0 &&
                 store_update_instance(tcb.store, STORE_STATE_INITIALISED, &block, &err) == 0 &&
                 store_commit(tcb.store, &err) == 0,
             err.text);
}

static void put_vm(const char *name, const char *image)
{
        struct vm_request request = {.config = {.memory_mib = 64, .cpus = 1}};
        struct err err = {0};
        struct vm *vm;

        (void)snprintf(request.image, sizeof(request.image), "%s", image);
        (void)snprintf(request.config.name, sizeof(request.config.name), "%s", name);
        must(tcb_find_instance(&tcb, name, &request.instance, &err) == 0, err.text);
        memcpy(request.config.uuid, request.instance->stored.block.uuid, 16);
        must(vm_create(&tcb, &request, NULL, NULL, &vm, &err) == 0, err.text);
}

/* A vTPM by itself, a VM that could start and one whose disk is gone. */
static void make_template(void)
{
        struct err err = {0};
        char path[PATH_MAX];

        open_store();
        put_instance(1, "one");
        put_instance(2, "web");
        put_instance(3, "db");
        open_instances();
        put_vm("web", "disk.img");
        put_vm("db", "absent.img");
        close_instances();
        must(store_checkpoint(tcb.store, &err) == 0, err.text);
        store_close(TAKE(tcb.store));
        must(tcb_config_path(&tcb.config, "tcb.db", path, &err) == 0 &&
                 fs_read_file(path, 1U << 24, &template, &template_len, &err) == 0,
             err.text);
        open_store();
        template_generation = store_generation(tcb.store);
}

/*
 * Only after an input that committed. A log without its header is an empty one; it is not made
 * anew, because the store fills it with zeros, which would take longest of all.
 */
static void restore_store(void)
{
        static const uint8_t no_header[32];
        struct err err = {0};
        char path[PATH_MAX];
        int AUTO_FD wal = -1;

        if (store_generation(tcb.store) == template_generation)
                return;
        store_close(TAKE(tcb.store));
        must(tcb_config_path(&tcb.config, "tcb.db-wal", path, &err) == 0, err.text);
        wal = open(path, O_WRONLY | O_CLOEXEC);
        must(wal < 0 || write(wal, no_header, sizeof(no_header)) == sizeof(no_header), path);
        put_file("tcb.db", template, template_len);
        open_store();
        must(store_generation(tcb.store) == template_generation, "the store was not restored");
}

/* The relay's side -------------------------------------------------------------------------------
 */

static struct peer {
        struct wire_link *link; /* NULL: it was cut off */
        uint32_t n_asked;       /* numbers 1 to this */
        uint32_t n_answered;
        bool answered[IDS_MAX];
        bool loose; /* it said something that is no request: anything may follow */
} peers[PEERS];
static size_t now; /* the one that speaks */

static void send_raw(struct peer *peer, const void *data, size_t len)
{
        size_t sent = 0;

        while (peer->link != NULL && sent < len) {
                ssize_t n = send(wire_link_fd(peer->link), (const uint8_t *)data + sent, len - sent,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0)
                        sent += (size_t)n;
                else if (sd_event_run(tcb.event, 0) <= 0)
                        return; /* its end is closed or does not read on */
        }
}

static void connect_peer(struct peer *peer)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        static const uint8_t hello[] = "\0\0\0\x0e\0\0\0\0\0\0\0\0\0\1\0\x0a"
                                       "catena-tcb";
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct err err = {0};

        wire_link_free(peer->link);
        *peer = (struct peer){.link = NULL};
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" SERVER_SOCKET, state);
        must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
        must(wire_link_new(fd, &wire_tcb_protocol, WIRE_CLIENT, &peer->link, &err) == 0, err.text);
        send_raw(peer, hello, sizeof(hello) - 1);
}

static void take_answer(struct peer *peer, struct wire_frame *frame)
{
        static _Alignas(max_align_t) uint8_t message[4096];
        struct err err = {0};

        must(frame->message->size <= sizeof(message) &&
                 wire_frame_decode(frame, message, frame->message->size, &err) == 0,
             err.text);
        wire_frame_close_fds(frame);
        if (peer->loose)
                return;
        must(frame->id > 0 && frame->id <= peer->n_asked && !peer->answered[frame->id],
             "an answer that nobody asked for");
        if ((frame->flags & WIRE_MORE) != 0)
                return;
        peer->answered[frame->id] = true;
        peer->n_answered++;
}

static void read_answers(struct peer *peer)
{
        while (peer->link != NULL) {
                struct wire_frame frame;
                struct err err = {0};
                int rc = wire_link_receive(peer->link, &frame, &err);

                if (rc == WIRE_AGAIN)
                        return;
                if (rc == 0) {
                        take_answer(peer, &frame);
                        continue;
                }
                must(rc == ERR_UNREACHABLE, err.text);
                wire_link_free(TAKE(peer->link));
        }
}

static bool is_waiting(void)
{
        for (size_t i = 0; i < PEERS; i++)
                if (peers[i].link != NULL && !peers[i].loose &&
                    peers[i].n_answered < peers[i].n_asked)
                        return true;
        return false;
}

static void run_loop(void)
{
        int n;

        do {
                n = sd_event_run(tcb.event, 0);
                must(n >= 0, "the loop failed");
                for (size_t i = 0; i < PEERS; i++)
                        read_answers(&peers[i]);
        } while (n > 0);
}

static void await_answers(void)
{
        run_loop();
        for (int i = 0; is_waiting(); i++) {
                must(i < PATIENCE, "a request was never answered");
                must(sd_event_run(tcb.event, 100000) >= 0, "the loop failed");
                run_loop();
        }
}

static void on_drained(void *user, const struct wire_frame *frame, const struct err *err)
{
        (void)frame;
        (void)err;
        *(bool *)user = true;
}

/* What gone clients asked of the pTPM comes back before the TCB that it belongs to goes. */
static void drain_ptpm(void)
{
        const struct ptpm_read_pcrs read = {0};
        bool drained = false;
        struct err err = {0};

        while (ptpm_ask(tcb.ptpm,
                        &(struct ptpm_question){ptpm_read_pcrs_code, &read, ptpm_pcrs_code,
                                                on_drained, &drained},
                        &err) == ERR_LIMIT)
                must(sd_event_run(tcb.event, 1000000) > 0, "the arbiter does not answer");
        while (!drained)
                must(sd_event_run(tcb.event, 10000000) > 0, "the arbiter does not answer");
}

static void send_request(struct peer *peer, uint8_t code, struct bytes payload)
{
        const uint8_t header[12] = {
            0, 0, (uint8_t)(payload.len >> 8), (uint8_t)payload.len, 0, code, 0, 0, 0,
            0, 0, (uint8_t)(peer->n_asked + 1)};

        if (peer->n_asked + 1 == IDS_MAX)
                return;
        peer->n_asked++;
        send_raw(peer, header, sizeof(header));
        send_raw(peer, payload.data, payload.len);
}

/*
 * One operation: a byte that says which, and for OP_RAW and for requests be16 length and bytes.
 * What is no operation below is the code of a request.
 */
static bool step(struct reader *r)
{
        struct bytes payload;
        uint16_t len;
        uint8_t op;

        if (reader_get_u8(r, &op) != 0)
                return false;
        switch (op) {
        case OP_SETTLE:
                run_loop();
                return true;
        case OP_RECONNECT:
                connect_peer(&peers[now]);
                return true;
        case OP_SWITCH:
                now = (now + 1) % PEERS;
                return true;
        default:
                break;
        }
        if (reader_get_be16(r, &len) != 0 || reader_get_bytes(r, len, &payload) != 0)
                return false;
        if (op == OP_RAW) {
                peers[now].loose = true;
                send_raw(&peers[now], payload.data, payload.len);
        } else {
                send_request(&peers[now], op, payload);
        }
        return true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        if (double_is(*argc, *argv, "catena-arbiter"))
                _exit(ptpm_double());
        log_init("fuzz", 0);
        make_state();
        open_platform();
        make_template();
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct reader r = reader_from_bytes((struct bytes){data, size});
        struct err err = {0};

        restore_store();
        open_instances();
        must(server_new(&tcb, &tcb.server, &err) == 0, err.text);
        now = 0;
        for (size_t i = 0; i < PEERS; i++)
                connect_peer(&peers[i]);
        for (size_t i = 0; i < STEPS_MAX && step(&r); i++)
                ;
        await_answers();
        for (size_t i = 0; i < PEERS; i++)
                wire_link_free(TAKE(peers[i].link));
        run_loop();
        drain_ptpm();
        must(tcb.attestations == 0, "a challenge is not counted down");
        close_instances();
        return 0;
}
