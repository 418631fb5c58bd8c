#include "tcb/manufacture.h"

#include <string.h>

#include "tpmwire/command.h"
#include "tpmwire/public.h"

enum step { STEP_STARTUP, STEP_CREATE_EK, STEP_SHUTDOWN, STEP_DONE };

/* The EK is adopted after the shutdown's answer: until then it is kept in the instance. */
static int keep_ek(struct instance *instance, struct bytes response, struct err *err)
{
        uint32_t handle;
        struct bytes public;

        if (response_get_primary(response, &handle, &public, err) != 0)
                return err->code;
        if (public.len > sizeof(instance->ek_pub))
                return err_set(err, ERR_MALFORMED, "EK of %zu bytes", public.len);
        memcpy(instance->ek_pub, public.data, public.len);
        instance->ek_pub_len = public.len;
        return 0;
}

static int finish(struct instance *instance, struct err *err)
{
        struct bytes ek_pub = {instance->ek_pub, instance->ek_pub_len};
        struct tpm_public public;
        struct tpm_name name;

        if (tpm_public_parse(ek_pub, &public, err) != 0 ||
            tpm_name_of_public(&public, &name, err) != 0)
                return err->code;
        return instance_adopt_ek(instance, ek_pub, &name, err);
}

static int check_answer(struct instance *instance, struct bytes response, struct err *err)
{
        uint32_t code;

        if (response_code(response, &code, err) != 0)
                return err->code;
        if (code != 0)
                return err_set(err, ERR_TPM, "manufacture: step %u: response code 0x%x",
                               instance->step, code);
        if (instance->step == STEP_CREATE_EK)
                return keep_ek(instance, response, err);
        return 0;
}

static void on_answer(void *user, struct bytes response)
{
        struct instance *instance = user;
        struct err err = {0};

        if (check_answer(instance, response, &err) != 0) {
                instance_abandon(instance, &err);
                return;
        }
        instance->step++;
        manufacture_step(instance);
}

static void put_create_ek(struct writer *w)
{
        command_put_create_ek(w, TPM_EK_P256);
}

/* The EK stays loaded until the power goes off; nobody else uses the TPM meanwhile. */
void manufacture_step(struct instance *instance)
{
        static void (*const puts[])(struct writer * w) = {
            [STEP_STARTUP] = command_put_startup,
            [STEP_CREATE_EK] = put_create_ek,
            [STEP_SHUTDOWN] = command_put_shutdown,
        };
        uint8_t memory[512];
        struct writer w;
        struct err err = {0};
        int rc;

        if (instance->step == STEP_DONE) {
                rc = finish(instance, &err);
        } else {
                writer_init_fixed(&w, memory, sizeof(memory));
                puts[instance->step](&w);
                rc = writer_check(&w) != 0 ? err_set(&err, ERR_LIMIT, "command too long")
                                           : engine_host_command(instance->engine, writer_bytes(&w),
                                                                 on_answer, instance, &err);
        }
        if (rc != 0)
                instance_abandon(instance, &err);
}
