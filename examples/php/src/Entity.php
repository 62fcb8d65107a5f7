<?php

declare(strict_types=1);

namespace Platform;

/** Something that the API shows. Members that a class does not know are left out. */
abstract class Entity
{
    final private function __construct()
    {
    }

    public static function from(array $members): static
    {
        $entity = new static();
        foreach ($members as $name => $value) {
            if (property_exists($entity, (string) $name)) {
                $entity->$name = $value;
            }
        }
        return $entity;
    }

    /** @return list<static> */
    public static function each(array $rows): array
    {
        return array_map(static::from(...), array_values($rows));
    }
}
