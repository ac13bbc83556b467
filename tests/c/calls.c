/* Calls that need no daemon: wrong arguments, versions, texts, membership bodies. */

#include <sp.h>

#include <string.h>

#include "check.h"

static int accept_all(int descriptor, void *data)
{
    (void)descriptor;
    (void)data;
    return 1;
}

static void wrong_arguments(void)
{
    mailbox mbox = -77;
    char group[MAX_GROUP_NAME] = "untouched";
    char groups[2][MAX_GROUP_NAME] = {"a", "b"};
    char body[8];
    service type = 0;
    int16 mess_type = 0;
    int count = 0, mismatch = 0;
    sp_time limit = {-1, 0};
    scatter scat;

    scat.num_elements = MAX_CLIENT_SCATTER_ELEMENTS + 1;
    CHECK_NUMBER(SP_connect("@nowhere", "me", 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_connect("4803host", NULL, 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_connect("4803@host:5", "me", 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK(mbox == -77 && strcmp(group, "untouched") == 0);
    CHECK_NUMBER(SP_connect("4803", "me", 0, 1, NULL, group), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect("4803", "me", 0, 1, &mbox, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect_timeout("4803", "me", 0, 1, NULL, group, limit), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect_timeout("4803", "me", 0, 1, &mbox, NULL, limit), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect_timeout("@nowhere", NULL, 0, 1, &mbox, group, limit), ILLEGAL_SPREAD);

    CHECK_NUMBER(SP_disconnect(-1), 0);
    CHECK_NUMBER(SP_disconnect(-1), 0);
    CHECK_NUMBER(SP_disconnect(-2), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_poll(-1), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_join(-1, "group"), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_poll(0), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_join(0, "group"), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_join(0, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_leave(0, "a name of more than thirty-one bytes"), ILLEGAL_GROUP);
    SP_kill(0);

    CHECK_NUMBER(SP_multicast(0, SAFE_MESS, "group", 0, 1, "x"), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_multicast(0, SELF_DISCARD, "group", 0, 1, "x"), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_multicast(0, SAFE_MESS, NULL, 0, 1, "x"), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(0, SAFE_MESS, "group", 0, -1, "x"), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multicast(0, SAFE_MESS, "group", 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multicast(0, SAFE_MESS, "group", 0, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_scat_multicast(0, SAFE_MESS, "group", 0, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_multicast(0, SAFE_MESS, "group", 0, &scat), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multigroup_multicast(0, SAFE_MESS, -1, NULL, 0, 1, "x"), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multigroup_multicast(0, SAFE_MESS, 101, NULL, 0, 1, "x"), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_multicast(0, SAFE_MESS, 2, NULL, 0, 1, "x"), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_multicast(0, SAFE_MESS, 0, NULL, 0, 1, "x"), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_multigroup_scat_multicast(0, SAFE_MESS, 0, NULL, 0, &scat), NET_ERROR_ON_SESSION);

    CHECK_NUMBER(SP_receive(0, &type, group, 2, &count, groups, &mess_type, &mismatch, 8, body), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_receive(0, NULL, group, 2, &count, groups, &mess_type, &mismatch, 8, body), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_receive(0, &type, group, -1, &count, groups, &mess_type, &mismatch, 8, body), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_receive(0, &type, group, 2, &count, NULL, &mess_type, &mismatch, 8, body), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_receive(0, &type, group, 0, &count, NULL, &mess_type, &mismatch, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_receive(0, &type, group, 2, &count, groups, &mess_type, &mismatch, -1, body),
                 NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_receive(0, &type, group, 2, &count, groups, &mess_type, &mismatch, 8, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(0, &type, group, 2, &count, groups, &mess_type, &mismatch, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(0, &type, group, 2, &count, groups, &mess_type, &mismatch, &scat),
                 NET_ERROR_ON_SESSION);
}

static void authentication_methods(void)
{
    const char *names[4] = {"NULL", "IP", "30 bytes are too long for us!!", "X"};
    int (*functions[4])(int, void *) = {accept_all, accept_all, accept_all, accept_all};
    void *data[4] = {NULL, NULL, NULL, NULL};

    CHECK_NUMBER(strlen(names[2]), 30);
    CHECK_NUMBER(SP_set_auth_method("NULL", accept_all, NULL), 1);
    CHECK_NUMBER(SP_set_auth_method("NULL", NULL, NULL), 0);
    CHECK_NUMBER(SP_set_auth_method(NULL, accept_all, NULL), 0);
    CHECK_NUMBER(SP_set_auth_method(names[2], accept_all, NULL), 0);
    CHECK_NUMBER(SP_set_auth_methods(0, NULL, NULL, NULL), 1);
    CHECK_NUMBER(SP_set_auth_methods(2, names, functions, data), 1);
    CHECK_NUMBER(SP_set_auth_methods(3, names, functions, data), 0);
    CHECK_NUMBER(SP_set_auth_methods(4, names, functions, data), 0);
    CHECK_NUMBER(SP_set_auth_methods(-1, names, functions, data), 0);
    functions[1] = NULL;
    CHECK_NUMBER(SP_set_auth_methods(2, names, functions, data), 0);
    CHECK_NUMBER(SP_set_auth_methods(2, names, NULL, data), 0);
}

static void versions_and_texts(void)
{
    int major = 0, minor = 0, patch = -1, code;
    group_id one = {{1, 2, 3}}, other = {{1, 2, 4}};

    CHECK_NUMBER(SP_version(&major, &minor, &patch), 1);
    CHECK(major == 4 && minor == 4 && patch == 0);
    CHECK_NUMBER(SP_version(&major, NULL, &patch), 0);
    CHECK_NUMBER((major << 24) | (minor << 16) | patch, SPREAD_VERSION);
    for (code = -30; code < 3; code++) {
        CHECK(SP_strerror(code) != NULL && SP_strerror(code)[0] != '\0');
    }
    CHECK(strcmp(SP_strerror(CONNECTION_CLOSED), SP_strerror(0)) != 0);
    CHECK_NUMBER(SP_equal_group_ids(one, one), 1);
    CHECK_NUMBER(SP_equal_group_ids(one, other), 0);
}

/* Appends a number and names to a body. */
static size_t put(char *body, size_t at, unsigned int number)
{
    memcpy(body + at, &number, sizeof number);
    return at + sizeof number;
}

static size_t put_name(char *body, size_t at, const char *name)
{
    memset(body + at, 0, MAX_GROUP_NAME);
    strcpy(body + at, name);
    return at + MAX_GROUP_NAME;
}

/* A network membership of three sets; the second is the receiver's. */
static size_t network_body(char *body)
{
    size_t at = 0;

    at = put(body, at, 11);
    at = put(body, at, 22);
    at = put(body, at, 33);
    at = put(body, at, 3);
    at = put(body, at, 4 + 32);
    at = put_name(body, put(body, at, 1), "#a#d1");
    at = put_name(body, put_name(body, put(body, at, 2), "#me#d1"), "#b#d2");
    return put_name(body, put(body, at, 1), "#c#d3");
}

static void check_network(const membership_info *info, const vs_set_info *sets, unsigned int own)
{
    CHECK(info->gid.id[0] == 11 && info->gid.id[1] == 22 && info->gid.id[2] == 33);
    CHECK(info->changed_member[0] == '\0');
    CHECK_NUMBER(info->num_vs_sets, 3);
    CHECK_NUMBER(info->my_vs_set.num_members, 2);
    CHECK_NUMBER(info->my_vs_set.members_offset, 60);
    CHECK_NUMBER(own, 1);
    CHECK(sets[0].num_members == 1 && sets[0].members_offset == 24);
    CHECK(sets[1].num_members == 2 && sets[1].members_offset == 60);
    CHECK(sets[2].num_members == 1 && sets[2].members_offset == 128);
}

static void flat_membership(void)
{
    char body[256];
    membership_info info;
    vs_set_info sets[3];
    unsigned int own = 99;
    char names[2][MAX_GROUP_NAME];

    network_body(body);
    CHECK_NUMBER(SP_get_memb_info(body, REG_MEMB_MESS | CAUSED_BY_NETWORK, &info), 1);
    CHECK_NUMBER(SP_get_vs_sets_info(body, sets, 2, &own), BUFFER_TOO_SHORT);
    CHECK_NUMBER(SP_get_vs_sets_info(body, sets, -1, &own), BUFFER_TOO_SHORT);
    CHECK_NUMBER(own, 99);
    CHECK_NUMBER(SP_get_vs_sets_info(body, sets, 3, &own), 3);
    check_network(&info, sets, own);
    CHECK_NUMBER(SP_get_vs_set_members(body, &sets[1], names, 1), BUFFER_TOO_SHORT);
    CHECK_NUMBER(SP_get_vs_set_members(body, &sets[1], names, 2), 2);
    CHECK(strcmp(names[0], "#me#d1") == 0 && strcmp(names[1], "#b#d2") == 0);

    CHECK_NUMBER(SP_get_memb_info(body, REG_MEMB_MESS | CAUSED_BY_JOIN, &info), 1);
    CHECK(strcmp(info.changed_member, "#a#d1") == 0);
    CHECK_NUMBER(SP_get_memb_info(body, TRANSITION_MESS, &info), 1);
    CHECK(info.num_vs_sets == 0 && info.my_vs_set.num_members == 0 && info.my_vs_set.members_offset == 0);
    CHECK(strcmp(info.changed_member, "#a#d1") == 0);
    CHECK_NUMBER(SP_get_memb_info(body, REJECT_MESS | CAUSED_BY_JOIN, &info), 1);
    CHECK_NUMBER(SP_get_memb_info(body, SAFE_MESS, &info), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_memb_info(NULL, TRANSITION_MESS, &info), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_memb_info(body, TRANSITION_MESS, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_sets_info(NULL, sets, 3, &own), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_sets_info(body, NULL, 3, &own), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_sets_info(body, sets, 3, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_set_members(NULL, &sets[1], names, 2), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_set_members(body, NULL, names, 2), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_set_members(body, &sets[1], NULL, 2), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_get_vs_set_members(body, &sets[1], names, -1), BUFFER_TOO_SHORT);
}

/* The same body, cut everywhere into pieces of `step` bytes with an empty piece between. */
static void scattered_membership(size_t step)
{
    char body[256];
    size_t length = network_body(body), at;
    scatter scat;
    membership_info info;
    vs_set_info sets[8];
    unsigned int own = 99;
    char names[2][MAX_GROUP_NAME];

    scat.num_elements = 0;
    for (at = 0; at < length; at += step) {
        scat.elements[scat.num_elements].buf = body + at;
        scat.elements[scat.num_elements++].len = length - at < step ? length - at : step;
        scat.elements[scat.num_elements].buf = NULL;
        scat.elements[scat.num_elements++].len = 0;
    }
    CHECK_NUMBER(SP_scat_get_memb_info(&scat, REG_MEMB_MESS | CAUSED_BY_NETWORK, &info), 1);
    CHECK_NUMBER(SP_scat_get_vs_sets_info(&scat, sets, 2, &own), BUFFER_TOO_SHORT);
    CHECK_NUMBER(SP_scat_get_vs_sets_info(&scat, sets, 8, &own), 3);
    check_network(&info, sets, own);
    CHECK_NUMBER(SP_scat_get_vs_set_members(&scat, &sets[1], names, 2), 2);
    CHECK(strcmp(names[0], "#me#d1") == 0 && strcmp(names[1], "#b#d2") == 0);

    CHECK_NUMBER(SP_scat_get_vs_set_members(&scat, &sets[1], names, 1), BUFFER_TOO_SHORT);
    CHECK_NUMBER(SP_scat_get_memb_info(NULL, TRANSITION_MESS, &info), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_get_memb_info(&scat, TRANSITION_MESS, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_get_vs_sets_info(NULL, sets, 8, &own), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_get_vs_sets_info(&scat, NULL, 8, &own), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_get_vs_sets_info(&scat, sets, -1, &own), BUFFER_TOO_SHORT);
    CHECK_NUMBER(SP_scat_get_vs_set_members(NULL, &sets[1], names, 2), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_get_vs_set_members(&scat, NULL, names, 2), ILLEGAL_MESSAGE);

    scat.num_elements -= 2;
    CHECK_NUMBER(SP_scat_get_vs_set_members(&scat, &sets[2], names, 2), ILLEGAL_MESSAGE);
    scat.num_elements = 0;
    CHECK_NUMBER(SP_scat_get_memb_info(&scat, CAUSED_BY_LEAVE, &info), 1);
    CHECK_NUMBER(SP_scat_get_memb_info(&scat, REG_MEMB_MESS | CAUSED_BY_JOIN, &info), ILLEGAL_MESSAGE);
}

int main(void)
{
    int code;

    wrong_arguments();
    authentication_methods();
    versions_and_texts();
    flat_membership();
    scattered_membership(5);
    scattered_membership(32);
    scattered_membership(1000);
    for (code = -28; code < 0; code++)
        SP_error(code);
    printf("before\n");
    SP_error(CONNECTION_CLOSED);
    SP_error(7);
    printf("after\n");
    return failures != 0;
}
