#!/usr/bin/env python3
"""Writes cluster.yaml and one NAME.yaml for each case: the objects, and what every pod may open to every other.

The expectations come from a plain reading of the API's documentation, one packet at a time: no sets, no classes,
nothing shared with the importer. Families: those of the NetworkPolicy and AdminNetworkPolicy conformance suites
(peers, ports, types, unions, priorities, tiers), with data of our own.

    make.py          rewrite the files beside this script; read the diff
"""
import ipaddress
import itertools
import pathlib

import yaml

HERE = pathlib.Path(__file__).resolve().parent
SPACES, PODS = "xyz", "abc"
OUTSIDE = {"ip": "203.0.113.9", "outside": True}
ENDS = [{"ns": n, "pod": p, "ip": f"10.{i + 1}.0.{j + 1}"} for (i, n), (j, p) in itertools.product(enumerate(SPACES), enumerate(PODS))] + [OUTSIDE]
PROBES = [("TCP", 80), ("TCP", 81), ("UDP", 80), ("UDP", 81), ("ICMP", 0)]
NAMED = {f"serve-{port}-{proto.lower()}": (proto, port) for port in (80, 81) for proto in ("TCP", "UDP")}


# ---- the plain reading ----

def selected(selector, labels):
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or []:
        here = labels.get(each["key"])
        fits = {"In": lambda: here in each["values"], "NotIn": lambda: here not in each["values"],
                "Exists": lambda: here is not None, "DoesNotExist": lambda: here is None}[each["operator"]]()
        if not fits:
            return False
    return True


def ns_labels(end):
    return {"ns": end["ns"], "kubernetes.io/metadata.name": end["ns"]}


def in_block(ip, block):
    inside = ipaddress.ip_address(ip) in ipaddress.ip_network(block["cidr"])
    return inside and not any(ipaddress.ip_address(ip) in ipaddress.ip_network(e) for e in block.get("except", []))


def is_peer(peer, end, space):
    if "ipBlock" in peer:
        return in_block(end["ip"], peer["ipBlock"])
    if "outside" in end:
        return False
    if "namespaceSelector" in peer:
        if not selected(peer["namespaceSelector"], ns_labels(end)):
            return False
    elif end["ns"] != space:
        return False
    return selected(peer.get("podSelector", {}), {"pod": end["pod"]})


def port_fits(port, probe):
    proto, number = probe
    if port.get("protocol", "TCP") != proto:
        return False
    wanted = port.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return NAMED.get(wanted) == (proto, number)
    return wanted <= number <= port.get("endPort", wanted)


def admin_port_fits(port, probe):
    if "portNumber" in port:
        return port_fits(port["portNumber"], probe)
    if "portRange" in port:
        r = port["portRange"]
        return port_fits({"protocol": r.get("protocol", "TCP"), "port": r["start"], "endPort": r["end"]}, probe)
    return NAMED.get(port["namedPort"]) == probe


def is_subject(subject, end):
    if "namespaces" in subject:
        return selected(subject["namespaces"], ns_labels(end))
    if "networks" in subject:
        return any(in_block(end["ip"], {"cidr": cidr}) for cidr in subject["networks"])
    pods = subject["pods"]
    return selected(pods["namespaceSelector"], ns_labels(end)) and selected(pods["podSelector"], {"pod": end["pod"]})


def admin_says(policy, way, me, other, probe):
    """Allow, Deny, Pass or None."""
    spec = policy["spec"]
    if "outside" in me or not is_subject(spec["subject"], me):
        return None
    for rule in spec.get(way, []):
        peers = rule["from" if way == "ingress" else "to"]
        hits = any(("networks" in p or "outside" not in other) and is_subject(p, other) for p in peers)
        ports = rule.get("ports")
        if hits and (not ports or any(admin_port_fits(p, probe) for p in ports)):
            return rule["action"]
    return None


def way_allows(objects, way, me, other, probe):
    if "outside" in me:
        return True
    admins = sorted((o for o in objects if o["kind"] == "AdminNetworkPolicy"), key=lambda o: o["spec"]["priority"])
    for policy in admins:
        said = admin_says(policy, way, me, other, probe)
        if said == "Pass":
            break
        if said:
            return said == "Allow"
    isolated = False
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        spec, space = policy["spec"], policy["metadata"]["namespace"]
        types = spec.get("policyTypes") or ["Ingress"] + (["Egress"] if "egress" in spec else [])
        if way.capitalize() not in types or space != me["ns"] or not selected(spec["podSelector"], {"pod": me["pod"]}):
            continue
        isolated = True
        for rule in spec.get(way) or []:
            peers, ports = rule.get("from" if way == "ingress" else "to"), rule.get("ports")
            if (not peers or any(is_peer(p, other, space) for p in peers)) and (not ports or any(port_fits(p, probe) for p in ports)):
                return True
    if isolated:
        return False
    for policy in (o for o in objects if o["kind"] == "BaselineAdminNetworkPolicy"):
        said = admin_says(policy, way, me, other, probe)
        if said:
            return said == "Allow"
    return True


def table(objects, probe):
    rows = []
    for opener in ENDS:
        row = ""
        for target in ENDS:
            if opener is target:
                row += "-"
            else:
                passes = way_allows(objects, "egress", opener, target, probe) and way_allows(objects, "ingress", target, opener, probe)
                row += "." if passes else "X"
        rows.append(row)
    return rows


# ---- the cases ----

def np(name="p", ns="x", pods=None, **spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": ns},
            "spec": {"podSelector": pods if pods is not None else {"matchLabels": {"pod": "a"}}, **spec}}


def anp(name, priority, subject, **spec):
    return {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": {"name": name},
            "spec": {"priority": priority, "subject": subject, **spec}}


def banp(subject, **spec):
    return {"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"},
            "spec": {"subject": subject, **spec}}


def labels(**values):
    return {"matchLabels": values}


def expr(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


def pods(ns, pod):
    return {"pods": {"namespaceSelector": ns, "podSelector": pod}}


def admin(action, way, peers, ports=None):
    return {"action": action, "from" if way == "ingress" else "to": peers, **({"ports": ports} if ports else {})}


EVERY = {}
TCP80, UDP81 = {"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": 81}
AB = [{"podSelector": labels(pod="b")}]
NSY = [{"namespaceSelector": labels(ns="y")}]

CASES = {
    "no-policy": [],
    # targets
    "target-namespace-deny-ingress": [np(pods=EVERY, policyTypes=["Ingress"])],
    "target-namespace-deny-egress": [np(pods=EVERY, policyTypes=["Egress"])],
    "target-namespace-deny-both": [np(pods=EVERY, policyTypes=["Ingress", "Egress"])],
    "target-one-pod": [np(ingress=[], policyTypes=["Ingress"])],
    "target-in": [np(pods=expr("pod", "In", "a", "b"), policyTypes=["Ingress"])],
    "target-not-in": [np(pods=expr("pod", "NotIn", "a"), policyTypes=["Egress"])],
    "target-exists": [np(pods=expr("pod", "Exists"), policyTypes=["Ingress"])],
    "target-does-not-exist": [np(pods=expr("pod", "DoesNotExist"), policyTypes=["Ingress", "Egress"])],
    "target-nobody": [np(pods=labels(pod="nobody"), policyTypes=["Ingress", "Egress"])],
    # types
    "types-default-with-egress": [np(ingress=[{}], egress=[])],
    "types-default-without-egress": [np(ingress=[])],
    "types-egress-only-ignores-ingress-rules": [np(ingress=[], egress=[{}], policyTypes=["Egress"])],
    # rules
    "rule-allow-all-ingress": [np(ingress=[{}])],
    "rule-allow-all-egress": [np(egress=[{}], policyTypes=["Egress"])],
    "rule-empty-peers": [np(ingress=[{"from": [], "ports": [TCP80]}])],
    "rules-are-a-union": [np(ingress=[{"from": AB, "ports": [TCP80]}, {"from": NSY, "ports": [UDP81]}])],
    # peers
    "peer-pod-same-namespace": [np(ingress=[{"from": AB}])],
    "peer-namespace": [np(ingress=[{"from": NSY}])],
    "peer-namespace-and-pod": [np(ingress=[{"from": [{"namespaceSelector": labels(ns="y"), "podSelector": labels(pod="c")}]}])],
    "peer-namespace-or-pod": [np(ingress=[{"from": [*NSY, *AB]}])],
    "peer-every-namespace": [np(ingress=[{"from": [{"namespaceSelector": {}}]}])],
    "peer-every-pod-here": [np(ingress=[{"from": [{"podSelector": {}}]}])],
    "peer-namespace-not-in": [np(egress=[{"to": [{"namespaceSelector": expr("ns", "NotIn", "y")}]}], policyTypes=["Egress"])],
    "peer-namespace-by-name": [np(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "z"}}}]}])],
    "peer-block-of-pods": [np(ingress=[{"from": [{"ipBlock": {"cidr": "10.2.0.0/24"}}]}])],
    "peer-block-except": [np(egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}], policyTypes=["Egress"])],
    "peer-block-except-one": [np(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.2/32", "10.3.0.0/24"]}}]}])],
    "peer-block-outside": [np(ingress=[{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}])],
    # ports
    "port-tcp": [np(ingress=[{"ports": [TCP80]}])],
    "port-udp": [np(ingress=[{"ports": [UDP81]}])],
    "port-protocol-alone": [np(ingress=[{"ports": [{"protocol": "UDP"}]}])],
    "port-default-protocol": [np(ingress=[{"ports": [{"port": 81}]}])],
    "port-several": [np(egress=[{"ports": [TCP80, UDP81]}], policyTypes=["Egress"])],
    "port-range": [np(ingress=[{"ports": [{"protocol": "TCP", "port": 80, "endPort": 81}]}])],
    "port-range-beside": [np(ingress=[{"ports": [{"protocol": "TCP", "port": 81, "endPort": 9000}]}])],
    "port-named-ingress": [np(ingress=[{"ports": [{"protocol": "TCP", "port": "serve-81-tcp"}]}])],
    "port-named-egress": [np(egress=[{"to": NSY, "ports": [{"protocol": "UDP", "port": "serve-80-udp"}]}], policyTypes=["Egress"])],
    "port-named-unknown": [np(ingress=[{"ports": [{"protocol": "TCP", "port": "nothing"}]}])],
    # several policies
    "policies-are-a-union": [np("one", ingress=[{"from": AB}]), np("two", ingress=[{"from": NSY, "ports": [TCP80]}])],
    "policies-deny-does-not-win": [np("deny", pods=EVERY, policyTypes=["Ingress"]), np("allow", ingress=[{}])],
    "policies-both-ends-must-allow": [np("in", ns="y", pods=EVERY, ingress=[{"from": [{"namespaceSelector": labels(ns="x")}], "ports": [TCP80, UDP81]}]),
                                      np("out", ns="x", pods=EVERY, egress=[{"to": NSY, "ports": [TCP80]}], policyTypes=["Egress"])],
    "policies-in-two-namespaces": [np(ns="x", pods=EVERY, ingress=[{"from": [{"podSelector": {}}]}]), np(ns="y", pods=EVERY, ingress=[{"from": [{"podSelector": {}}]}])],
    # admin policies
    "admin-deny-ingress": [anp("a", 10, {"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="y")}])])],
    "admin-deny-egress-port": [anp("a", 10, {"namespaces": labels(ns="x")}, egress=[admin("Deny", "egress", [{"namespaces": EVERY}], [{"portNumber": TCP80}])])],
    "admin-first-rule-wins": [anp("a", 10, {"namespaces": labels(ns="x")}, ingress=[admin("Allow", "ingress", [pods(labels(ns="y"), labels(pod="a"))]),
                                                                                      admin("Deny", "ingress", [{"namespaces": labels(ns="y")}])])],
    "admin-lower-priority-number-wins": [anp("late", 60, {"namespaces": labels(ns="x")}, ingress=[admin("Allow", "ingress", [{"namespaces": EVERY}])]),
                                         anp("early", 40, {"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="z")}], [{"portRange": {"protocol": "TCP", "start": 80, "end": 81}}])])],
    "admin-allow-over-network-policy": [np(pods=EVERY, policyTypes=["Ingress"]), anp("a", 5, pods(labels(ns="x"), labels(pod="b")), ingress=[admin("Allow", "ingress", [{"namespaces": labels(ns="y")}])])],
    "admin-deny-over-network-policy": [np(pods=EVERY, ingress=[{}]), anp("a", 5, pods(labels(ns="x"), labels(pod="b")), ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="y")}])])],
    "admin-pass-to-network-policy": [np(pods=EVERY, ingress=[{"from": NSY, "ports": [TCP80]}]),
                                     anp("a", 5, {"namespaces": labels(ns="x")}, ingress=[admin("Pass", "ingress", [{"namespaces": labels(ns="y")}])]),
                                     anp("b", 6, {"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": EVERY}])])],
    "admin-named-port": [anp("a", 5, {"namespaces": labels(ns="z")}, ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="x")}], [{"namedPort": "serve-80-udp"}])])],
    "admin-egress-to-networks": [anp("a", 5, {"namespaces": labels(ns="z")}, egress=[admin("Deny", "egress", [{"networks": ["203.0.113.0/24"]}])])],
    "admin-matches-in-expression": [anp("a", 5, {"namespaces": expr("ns", "In", "x", "y")}, egress=[admin("Deny", "egress", [{"namespaces": expr("ns", "NotIn", "x", "y")}])])],
    # the baseline
    "baseline-deny": [banp({"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": EVERY}])])],
    "baseline-allow-then-deny": [banp({"namespaces": EVERY}, egress=[admin("Allow", "egress", [{"namespaces": labels(ns="y")}], [{"portNumber": UDP81}]),
                                                                    admin("Deny", "egress", [{"namespaces": EVERY}])])],
    "baseline-under-network-policy": [banp({"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": EVERY}])]), np(ingress=[{"from": NSY}])],
    "all-three-tiers": [anp("a", 20, {"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="z")}]), admin("Pass", "ingress", [{"namespaces": labels(ns="y")}])]),
                        np(ingress=[{"from": [{"namespaceSelector": {}}], "ports": [TCP80]}]),
                        banp({"namespaces": labels(ns="x")}, ingress=[admin("Deny", "ingress", [{"namespaces": labels(ns="y")}])])],
}


def cluster():
    out = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": {"ns": n}}} for n in SPACES]
    ports = [{"name": name, "containerPort": port, "protocol": proto} for name, (proto, port) in NAMED.items()]
    for end in ENDS[:-1]:
        out.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": end["pod"], "namespace": end["ns"], "labels": {"pod": end["pod"]}},
                    "spec": {"containers": [{"name": "serve", "ports": ports}]}, "status": {"phase": "Running", "podIP": end["ip"], "podIPs": [{"ip": end["ip"]}]}})
    return out


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def write(name, documents):
    text = yaml.dump_all(documents, Dumper=Plain, sort_keys=False, width=1000, default_flow_style=None)
    (HERE / f"{name}.yaml").write_text(text)


def main():
    write("cluster", cluster())
    for name, objects in CASES.items():
        tables = {f"{proto.lower()}-{port}": table(objects, (proto, port)) for proto, port in PROBES}
        ends = [end["ip"] for end in ENDS]
        write(name, [*objects, {"kind": "TruthTable", "ends": ends, "tables": tables}])


if __name__ == "__main__":
    main()
