"""Prints the records of a topic of Kafka as JSON lines, until no more come for a while. In the order of each partition."""

import json
import sys

from kafka import KafkaConsumer, TopicPartition

broker, topic = sys.argv[1:]
consumer = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, consumer_timeout_ms=5000)
partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
for record in consumer:
    headers = {name: value.decode() for name, value in record.headers}
    key = (record.key or b"").decode()
    print(json.dumps({"partition": record.partition, "key": key, "headers": headers, "event": json.loads(record.value)}))
