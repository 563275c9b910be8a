#!/usr/bin/env python3
"""Checks the MLPS data files against their JSON schemas and against each other.

Standard library only. The reader takes the subset of YAML that these files are written in (block and flow
collections, plain and double-quoted scalars, comment lines); the product's own strict reader is tested elsewhere.
"""
import json
import pathlib
import re
import sys

GENERAL, CLOUD = 211, 46
PLAIN = re.compile(r'[^,\[\]{}]+')


class Flow:
    """One value in flow style, from a position in a line."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def space(self):
        while self.at < len(self.text) and self.text[self.at] == ' ':
            self.at += 1

    def take(self, mark):
        self.space()
        if not self.text.startswith(mark, self.at):
            raise ValueError(f'{mark!r} expected at column {self.at + 1} of: {self.text}')
        self.at += len(mark)

    def peek(self):
        self.space()
        return self.text[self.at] if self.at < len(self.text) else ''

    def quoted(self):
        value, length = json.JSONDecoder().raw_decode(self.text[self.at:])
        self.at += length
        return value

    def key(self):
        if self.peek() == '"':
            return self.quoted()
        match = re.compile(r'[^:,{}\[\]]+').match(self.text, self.at)
        self.at = match.end()
        return match.group().strip()

    def value(self):
        mark = self.peek()
        if mark == '"':
            return self.quoted()
        if mark in '[{':
            return self.sequence() if mark == '[' else self.mapping()
        match = PLAIN.match(self.text, self.at)
        self.at = match.end()
        return scalar(match.group().strip())

    def sequence(self):
        self.take('[')
        result = []
        while self.peek() != ']':
            result.append(self.value())
            if self.peek() == ',':
                self.take(',')
        self.take(']')
        return result

    def mapping(self):
        self.take('{')
        result = {}
        while self.peek() != '}':
            name = self.key()
            self.take(':')
            if name in result:
                raise ValueError(f'key {name!r} twice in: {self.text}')
            result[name] = self.value()
            if self.peek() == ',':
                self.take(',')
        self.take('}')
        return result


def scalar(text):
    if text in ('true', 'false'):
        return text == 'true'
    if re.fullmatch(r'-?(0|[1-9][0-9]*)', text):
        return int(text)
    return text


def inline(text):
    if text[0] not in '"[{':
        return scalar(text)
    flow = Flow(text)
    value = flow.value()
    if flow.peek():
        raise ValueError(f'text after the value: {text}')
    return value


KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.-]+):(?: +(.*))?$')


def block(lines, depth):
    """The block at indentation `depth`, taken from the front of `lines`."""
    if lines[0][1].startswith('- '):
        result = []
        while lines and lines[0][0] == depth and lines[0][1].startswith('- '):
            rest = lines[0][1][2:]
            if KEY.match(rest):
                lines[0] = (depth + 2, rest)
                result.append(block(lines, depth + 2))
            else:
                lines.pop(0)
                result.append(inline(rest))
        return result
    result = {}
    while lines and lines[0][0] == depth and not lines[0][1].startswith('- '):
        match = KEY.match(lines.pop(0)[1])
        if not match:
            raise ValueError('a key is expected')
        name = json.loads(match[1]) if match[1][0] == '"' else match[1]
        if name in result:
            raise ValueError(f'key {name!r} twice')
        if match[2]:
            result[name] = inline(match[2].strip())
        elif lines and lines[0][0] > depth:
            result[name] = block(lines, lines[0][0])
        else:
            raise ValueError(f'key {name!r} without value')
    return result


def read(path):
    lines = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if line.strip() and not line.lstrip().startswith('#'):
            lines.append((len(line) - len(line.lstrip()), line.strip()))
    result = block(lines, 0)
    if lines:
        raise ValueError(f'wrong indentation at: {lines[0][1]}')
    return result


TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'integer': int}


def validate(value, schema, root, place):
    """The keywords that our schemas use, and no other. Yields complaints."""
    if '$ref' in schema:
        schema = root['$defs'][schema['$ref'].rsplit('/', 1)[1]]
    if 'type' in schema:
        kind = TYPES[schema['type']]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            yield f'{place}: {schema["type"]} expected'
            return
    if 'enum' in schema and value not in schema['enum']:
        yield f'{place}: {value!r} is none of {schema["enum"]}'
    if isinstance(value, str):
        if 'pattern' in schema and not re.search(schema['pattern'], value):
            yield f'{place}: {value!r} does not match {schema["pattern"]}'
        if len(value) < schema.get('minLength', 0):
            yield f'{place}: too short'
    if isinstance(value, list):
        if len(value) < schema.get('minItems', 0):
            yield f'{place}: too few'
        for index, item in enumerate(value):
            yield from validate(item, schema.get('items', {}), root, f'{place}[{index}]')
    if isinstance(value, dict):
        known = schema.get('properties', {})
        for name in schema.get('required', []):
            if name not in value:
                yield f'{place}: {name} is missing'
        for name, inner in value.items():
            if name in known:
                yield from validate(inner, known[name], root, f'{place}.{name}')
            elif schema.get('additionalProperties') is False:
                yield f'{place}: unknown key {name}'


def texts(value, place):
    """Every {zh, en} pair below `value`."""
    if isinstance(value, dict):
        if 'zh' in value or 'en' in value:
            yield place, value.get('zh', ''), value.get('en', '')
        for name, inner in value.items():
            yield from texts(inner, f'{place}.{name}')
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, f'{place}[{index}]')


def main(rules):
    complaints = []
    files = {}

    def load(kind, paths):
        schema = json.loads((rules / 'schemas' / f'mlps-{kind}.json').read_text(encoding='utf-8'))
        for path in sorted(paths):
            name = str(path.relative_to(rules))
            try:
                files[name] = read(path)
            except ValueError as error:
                complaints.append(f'{name}: {error}')
                continue
            complaints.extend(validate(files[name], schema, schema, name))
            for place, zh, en in texts(files[name], name):
                if not re.search('[\u4e00-\u9fff]', zh):
                    complaints.append(f'{place}: no Chinese text')
                if not re.search('[A-Za-z]{2}', en) or re.search('[\u4e00-\u9fff]', en):
                    complaints.append(f'{place}: no English text')
            yield files[name]

    mlps = rules / 'mlps'
    for kind in ('meta', 'sources', 'classes'):
        list(load(kind, [mlps / f'{kind}.yaml']))
    layers = list(load('layer', mlps.glob('8.*.yaml')))
    checks = [c for f in load('checks', (mlps / 'checks').glob('*.yaml')) for c in f['checks']]
    scenarios = [s for f in load('scenarios', (mlps / 'checks' / 'scenarios').glob('*.yaml'))
                 for s in f['scenarios']]

    items = {}
    for layer in layers:
        for control in layer['controls']:
            for item in control['items']:
                if item['id'] in items:
                    complaints.append(f'{item["id"]}: twice')
                if not (item['id'] + '.').startswith(control['id'] + '.'):
                    complaints.append(f'{item["id"]}: not below {control["id"]}')
                items[item['id']] = item
    for prefix, count in (('8.1.', GENERAL), ('8.2.', CLOUD)):
        found = sum(1 for i in items if i.startswith(prefix))
        if found != count:
            complaints.append(f'{found} items below {prefix[:-1]}, {count} expected')

    ids = [c['id'] for c in checks]
    complaints.extend(f'check {i}: twice' for i in {i for i in ids if ids.count(i) > 1})
    named = {(item, check) for item in items for check in items[item].get('checks', [])}
    serves = {(item, check['id']) for check in checks for item in check['items']}
    complaints.extend(f'item {i} and check {c} do not name each other' for i, c in sorted(named ^ serves))
    for check in checks:
        verdicts = {s['verdict'] for s in scenarios if s['check'] == check['id']}
        for wanted in ['conforming', 'failing'] + (['partial'] if 'partial' in check else []):
            if wanted not in verdicts:
                complaints.append(f'check {check["id"]}: no {wanted} scenario')
    complaints.extend(f'scenario for unknown check {s["check"]}' for s in scenarios if s['check'] not in ids)

    for complaint in complaints:
        print(complaint)
    print(f'{len(items)} items, {len(checks)} checks, {len(scenarios)} scenarios, '
          f'{len({i for i, _ in named})} items with a check, {len(complaints)} complaints')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
